//! The argument `secrets("a", "b")`: what the webtask needs, as a custom section of the component.
use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Error, LitByteStr, LitStr, Meta, Result, Token, parse::Parser as _};

/// As many as a host takes.
const MAX_NAMES: usize = 64;

/// The names in `attribute`, in their order.
pub(crate) fn parse(attribute: TokenStream) -> Result<Vec<LitStr>> {
    let usage =
        "#[webtask::main] takes no argument but `secrets(\"name\", ...)`, the secrets it needs";
    if attribute.is_empty() {
        return Ok(Vec::new());
    }
    let whole = Error::new_spanned(&attribute, usage);
    let Ok(Meta::List(list)) = syn::parse2(attribute) else {
        return Err(whole);
    };
    if !list.path.is_ident("secrets") {
        return Err(whole);
    }
    let names = Punctuated::<LitStr, Token![,]>::parse_terminated.parse2(list.tokens)?;
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(whole);
    }
    for name in &names {
        let text = name.value();
        let byte = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if !(1..=64).contains(&text.len()) || !text.bytes().all(byte) {
            let message = "the name of a secret is 1 to 64 of A-Z a-z 0-9 _ . -";
            return Err(Error::new_spanned(name, message));
        }
    }
    Ok(names.into_iter().collect())
}

/// The section `webtask:secrets`: each name ends in a line feed.
pub(crate) fn section(names: &[LitStr]) -> TokenStream {
    if names.is_empty() {
        return TokenStream::new();
    }
    let text: String = names.iter().map(|name| name.value() + "\n").collect();
    let (size, text) = (
        text.len(),
        LitByteStr::new(text.as_bytes(), proc_macro2::Span::call_site()),
    );
    quote! {
        // `used`: nothing refers to it, and link-time optimisation would drop it.
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[used]
            #[unsafe(link_section = "webtask:secrets")]
            static SECRETS: [u8; #size] = *#text;
        };
    }
}
