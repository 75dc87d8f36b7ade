//! The attribute `#[webtask::main]`: checks a signature and emits glue. All real code is in `webtask`.
mod needs;

use proc_macro::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, parse_macro_input};

/// Makes a function the handler of a component: each HTTP request is one call.
///
/// The function is `async`, takes the request, and returns a `Result` whose `Ok` is a response and whose `Err`
/// is a `webtask::Error` or becomes one:
///
/// ```ignore
/// #[webtask::main]
/// async fn main(request: webtask::Request) -> Result<webtask::Response, webtask::Error> {
///     Ok(webtask::text("hello"))
/// }
/// ```
///
/// `#[webtask::main(secrets("stripe-key", "other"))]` says which secrets the webtask cannot do without, readable
/// or bound: a request with a token that lacks one fails before this function runs, and the log names it.
///
/// The file that holds it is a program of its own: `src/main.rs`, `src/bin/name.rs` or `examples/name.rs`.
#[proc_macro_attribute]
pub fn main(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let handler = parse_macro_input!(item as ItemFn);
    let needs = needs::parse(attribute.into());
    match needs.and_then(|needs| check(&handler).map(|()| needs)) {
        Ok(needs) => expand(handler, &needs::section(&needs)).into(),
        Err(error) => keep(&error, &handler).into(),
    }
}

/// Makes an `async` function a test, under plain `cargo test` and without any runtime; see `webtask::testing`.
///
/// ```ignore
/// #[webtask::test]
/// async fn it_says_hello() {
///     let response = webtask::testing::World::new().call(super::main, webtask::Request::new(())).await;
///     assert_eq!(response.status(), 200);
/// }
/// ```
///
/// The function takes nothing, and returns what a test may return. Other attributes, such as `#[should_panic]`, stay.
#[proc_macro_attribute]
pub fn test(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let test = parse_macro_input!(item as ItemFn);
    match check_test(&attribute.into(), &test) {
        Ok(()) => expand_test(test).into(),
        Err(error) => error.to_compile_error().into(),
    }
}

fn check_test(attribute: &proc_macro2::TokenStream, test: &ItemFn) -> Result<()> {
    let signature = &test.sig;
    if !attribute.is_empty() {
        return Err(Error::new_spanned(
            attribute,
            "#[webtask::test] takes no argument",
        ));
    }
    if signature.asyncness.is_none() {
        let message = "the test of a webtask is `async`; for others there is #[test]";
        return Err(Error::new_spanned(signature.fn_token, message));
    }
    if let Some(input) = signature.inputs.first() {
        return Err(Error::new_spanned(
            input,
            "a test takes nothing; make what it needs with `webtask::testing::World`",
        ));
    }
    Ok(())
}

fn expand_test(mut test: ItemFn) -> proc_macro2::TokenStream {
    test.sig.asyncness = None;
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
        ..
    } = test;
    quote! {
        #[cfg(not(target_family = "wasm"))]
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis #sig {
            ::webtask::testing::block_on(async move #block)
        }
    }
}

fn check(handler: &ItemFn) -> Result<()> {
    let signature = &handler.sig;
    let fail =
        |at: &dyn quote::ToTokens, message| Err(Error::new_spanned(at.to_token_stream(), message));
    if signature.asyncness.is_none() {
        return fail(
            &signature.fn_token,
            "the handler of a webtask must be `async`",
        );
    }
    if !signature.generics.params.is_empty() {
        return fail(
            &signature.generics,
            "the handler of a webtask cannot be generic",
        );
    }
    let mut arguments = signature.inputs.iter();
    match (arguments.next(), arguments.next()) {
        (Some(FnArg::Typed(_)), None) => {}
        (Some(FnArg::Receiver(this)), _) => {
            return fail(this, "the handler of a webtask is not a method");
        }
        (None, _) => {
            return fail(
                &signature.ident,
                "the handler of a webtask takes the request: `request: webtask::Request`",
            );
        }
        (_, Some(second)) => {
            return fail(
                second,
                "the handler of a webtask takes the request and nothing else",
            );
        }
    }
    match &signature.output {
        ReturnType::Type(..) => Ok(()),
        ReturnType::Default => fail(
            &signature.ident,
            "the handler of a webtask returns `Result<webtask::Response, webtask::Error>`",
        ),
    }
}

/// The error, and what keeps the compiler from finding more: the function as it is, and a `main`.
fn keep(error: &Error, handler: &ItemFn) -> proc_macro2::TokenStream {
    let error = error.to_compile_error();
    let dummy = if handler.sig.ident == "main" {
        quote!(
            fn main() {}
        )
    } else {
        quote!(#handler fn main() {})
    };
    quote!(#error #dummy)
}

fn expand(mut handler: ItemFn, needs: &proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    // A program needs a `main`, which WASI calls `run` and the host of a webtask never calls. A test has one already,
    // and calls the handler by its own name.
    let is_main = handler.sig.ident == "main";
    let in_test = is_main.then(|| quote!(#[cfg(test)] #handler));
    let cfg = is_main.then(|| quote!(#[cfg(not(test))]));
    if is_main {
        handler.sig.ident = format_ident!("__webtask_main", span = handler.sig.ident.span());
    }
    let name = &handler.sig.ident;
    // A return type that is not fit is reported where it stands.
    let guest =
        quote_spanned!(handler.sig.output.span()=> ::webtask::__private::guest!(__Webtask, #name););
    quote! {
        #in_test

        #cfg
        #handler

        #cfg
        fn main() {
            #[cfg(not(target_family = "wasm"))]
            ::webtask::__private::native::<__Webtask>();
        }

        #needs

        #cfg
        struct __Webtask;

        #cfg
        #guest
    }
}
