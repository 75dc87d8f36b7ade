//! Components that are made to hurt whoever compiles them, byte by byte.

/// A number in LEB128.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The number of a type, where it stands for a type: signed, so that bit 6 of its last byte is a sign.
fn of_type(number: usize) -> Vec<u8> {
    let mut bytes = leb(number);
    if let Some(last) = bytes.last_mut().filter(|last| **last & 0x40 != 0) {
        *last |= 0x80;
        bytes.push(0);
    }
    bytes
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id], leb(body.len()).as_slice(), body].concat()
}

/// A vector of the format: its length, and its elements.
fn vector(elements: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = leb(elements.len());
    elements.for_each(|element| bytes.extend(element));
    bytes
}

pub(crate) fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &sections.concat()].concat()
}

/// A component of one core module with these functions, none of which takes or returns anything.
fn functions(bodies: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let number = bodies.len();
    let module = [
        b"\0asm\x01\0\0\0".as_slice(),
        &section(1, &[1, 0x60, 0, 0]),
        &section(3, &vector((0..number).map(|_| vec![0]))),
        &section(
            10,
            &vector(bodies.map(|body| [leb(body.len()), body].concat())),
        ),
    ]
    .concat();
    component(&[section(1, &module)])
}

/// `wasm` with another digest, and nothing else changed.
pub(crate) fn unseen(wasm: &[u8], number: usize) -> Vec<u8> {
    let name = b"\x04seen".as_slice();
    [wasm, &section(0, &[name, &number.to_le_bytes()].concat())].concat()
}

/// A few hundred kilobytes that are one function: a thousand variables change on each of `branches` ways to
/// one place, and the compiler has to have them all there.
pub(crate) fn huge_function(branches: usize) -> Vec<u8> {
    const LOCALS: usize = 1_000;
    let get = |local: usize| [vec![0x20], leb(local % LOCALS)].concat();
    // One group of locals, i32; block.
    let mut body = [vec![1], leb(LOCALS), vec![0x7f, 0x02, 0x40]].concat();
    for branch in 0..branches {
        // local[7 * branch] = local[branch] + local[branch + 1]; branch out if local[branch].
        body.extend([get(branch), get(branch + 1), vec![0x6a, 0x21]].concat());
        body.extend(leb(branch * 7 % LOCALS));
        body.extend([get(branch), vec![0x0d, 0]].concat());
    }
    body.push(0x0b);
    // All of them are wanted: folded into a memory address would need a memory, so into a branch.
    body.extend([0x41, 0]);
    (0..LOCALS).for_each(|local| body.extend([get(local), vec![0x73]].concat()));
    body.extend([0x04, 0x40, 0x00, 0x0b, 0x0b]);
    functions(std::iter::once(body))
}

pub(crate) fn many_functions(number: usize) -> Vec<u8> {
    // i32.const 1, i32.const 2, i32.mul, drop.
    functions((0..number).map(|_| vec![0, 0x41, 1, 0x41, 2, 0x6c, 0x1a, 0x0b]))
}

pub(crate) fn deep_blocks(depth: usize) -> Vec<u8> {
    let body = [
        vec![0],
        [0x02, 0x40].repeat(depth),
        vec![0x0b; depth],
        vec![0x0b],
    ];
    functions(std::iter::once(body.concat()))
}

/// Each type is a list of the one before.
pub(crate) fn deep_types(depth: usize) -> Vec<u8> {
    let list = |of: usize| match of {
        // list<u8>
        0 => vec![0x70, 0x7d],
        of => [vec![0x70], of_type(of - 1)].concat(),
    };
    component(&[section(7, &vector((0..depth).map(list)))])
}

/// Each type is a pair of the one before: twice as large.
pub(crate) fn doubled_types(depth: usize) -> Vec<u8> {
    let tuple = |of: usize| match of {
        0 => vec![0x6f, 2, 0x7d, 0x7d],
        of => [vec![0x6f, 2], of_type(of - 1), of_type(of - 1)].concat(),
    };
    component(&[section(7, &vector((0..depth).map(tuple)))])
}

/// Components in components.
pub(crate) fn deep_components(depth: usize) -> Vec<u8> {
    (0..depth).fold(component(&[]), |inner, _| component(&[section(4, &inner)]))
}

/// Imports of empty instances.
pub(crate) fn many_imports(number: usize) -> Vec<u8> {
    let import = |number: usize| {
        let name = format!("a:b/c{number}");
        // A name of the plain kind, then: an instance of type 0.
        [vec![0], leb(name.len()), name.into_bytes(), vec![0x05, 0]].concat()
    };
    component(&[
        // One type: an instance without anything.
        section(7, &[1, 0x42, 0]),
        section(10, &vector((0..number).map(import))),
    ])
}
