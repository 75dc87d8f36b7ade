//! Source lines of a component: what its debug information says of the places in its code.
//!
//! Whoever made the component made this as well, so it is read in one pass over bytes that are bounded, and
//! nothing of it is kept but where it points. wasmtime's own reading follows references, and with them a few
//! kilobytes become all the memory that there is. Must not know invocations.

use std::{ops::Range, sync::Mutex};

use gimli::{
    AttributeValue, ColumnType, DebugLine, DebugLineOffset, DebugLineStr, DebugStr, EndianSlice,
    LineProgramHeader, LineRow, LittleEndian,
};
use wasmparser::{Parser, Payload};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Where the texts of paths are.
struct Strings<'a> {
    line: DebugLineStr<Slice<'a>>,
    shared: DebugStr<Slice<'a>>,
}

/// One table is read at a time, in this process.
static READING: Mutex<()> = Mutex::new(());

/// Bytes of a path that are shown: the end of it.
const PATH: usize = 120;

/// The tables of lines of all modules of a component.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<Module>);

#[derive(Debug)]
struct Module {
    /// Where the module's code stands in the component.
    code: Range<usize>,
    /// `.debug_line`
    line: Box<[u8]>,
    /// `.debug_line_str`, for paths.
    strings: Box<[u8]>,
    /// `.debug_str`, where some tools put them.
    shared: Box<[u8]>,
}

/// A place in source code: `src/main.rs:12:5`.
pub(crate) type Place = String;

impl Lines {
    /// The tables of the component `wasm`; none if they are larger than `most` bytes, or broken.
    pub(crate) fn of(wasm: &[u8], most: u64) -> Self {
        let mut modules = modules(wasm).unwrap_or_default();
        let fits = |modules: &[Module]| {
            let bytes = modules
                .iter()
                .map(Module::bytes)
                .fold(0, usize::saturating_add);
            bytes as u64 <= most
        };
        if !fits(&modules) {
            // Of LLVM's tables no path is there, and it may be most of the bytes.
            for module in &mut modules {
                module.shared = Box::default();
            }
        }
        match fits(&modules) {
            true => Self(modules),
            false => Self::default(),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(Module::bytes)
            .fold(0, usize::saturating_add)
    }

    /// The places of these offsets into the component, as many as there are offsets. None while another thread
    /// looks for some: tables that are made for it take a hundred times their size.
    pub(crate) fn places(&self, offsets: &[Option<usize>]) -> Vec<Option<Place>> {
        let mut places = vec![None; offsets.len()];
        if self.0.is_empty() {
            return places;
        }
        let Ok(_alone) = READING.try_lock() else {
            return places;
        };
        for module in &self.0 {
            let mut wanted = Vec::new();
            for (place, offset) in places.iter_mut().zip(offsets) {
                if let Some(offset) = offset.filter(|offset| module.code.contains(offset)) {
                    // Addresses of DWARF are those within the code section.
                    let address = offset.saturating_sub(module.code.start) as u64;
                    wanted.push((address, Some(place)));
                }
            }
            if !wanted.is_empty() {
                module.find(&mut wanted);
            }
        }
        places
    }
}

fn modules(wasm: &[u8]) -> Result<Vec<Module>, wasmparser::BinaryReaderError> {
    let mut modules = Vec::new();
    // Modules do not hold modules, and each has one section of code at most.
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } => modules.push(Module {
                code: 0..0,
                line: Box::default(),
                strings: Box::default(),
                shared: Box::default(),
            }),
            Payload::CodeSectionStart { range, .. } => {
                if let Some(module) = modules.last_mut() {
                    module.code = range;
                }
            }
            Payload::CustomSection(section) => {
                if let Some(module) = modules.last_mut() {
                    match section.name() {
                        ".debug_line" => module.line = section.data().into(),
                        ".debug_line_str" => module.strings = section.data().into(),
                        ".debug_str" => module.shared = section.data().into(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    modules.retain(|module| !module.line.is_empty());
    Ok(modules)
}

impl Module {
    fn bytes(&self) -> usize {
        let sections = [&self.line, &self.strings, &self.shared];
        let sizes = sections.iter().map(|section| section.len());
        sizes.fold(0, usize::saturating_add)
    }

    /// Fills in the places of addresses, in one pass over the tables. Each is looked for once, also where nothing
    /// can be said of it: a name may be long, and there may be a row for every byte.
    fn find(&self, wanted: &mut [(u64, Option<&mut Option<Place>>)]) {
        let lines = DebugLine::new(&self.line, LittleEndian);
        let strings = Strings {
            line: DebugLineStr::from(EndianSlice::new(&self.strings, LittleEndian)),
            shared: DebugStr::from(EndianSlice::new(&self.shared, LittleEndian)),
        };
        let mut at = 0_usize;
        while let Ok(program) = lines.program(DebugLineOffset(at), 4, None, None) {
            // The length does not count itself.
            let header = program.header();
            let itself = usize::from(header.format().initial_length_size());
            let length = header.unit_length().saturating_add(itself);
            at = at.saturating_add(length);
            let mut rows = program.rows();
            let mut before: Option<LineRow> = None;
            if wanted.iter().all(|(_, place)| place.is_none()) {
                return;
            }
            while let Ok(Some((header, row))) = rows.next_row() {
                if let Some(before) = before.filter(|before| before.address() != 0) {
                    let covered = before.address()..row.address();
                    for (address, place) in &mut *wanted {
                        if let Some(place) = place.take_if(|_| covered.contains(address)) {
                            *place = shown(header, &before, &strings);
                        }
                    }
                }
                // Code that was left out of the component begins at 0 as well, where no function does.
                before = (!row.end_sequence()).then_some(*row);
            }
        }
    }
}

fn shown(
    header: &LineProgramHeader<Slice<'_>>,
    row: &LineRow,
    strings: &Strings<'_>,
) -> Option<Place> {
    let file = header.file(row.file_index())?;
    let name = text(file.path_name(), strings)?;
    let directory = file
        .directory(header)
        .and_then(|directory| text(directory, strings));
    let path = match directory {
        Some(directory) if !name.starts_with('/') => format!("{}/{name}", end(directory)),
        _ => name.to_owned(),
    };
    let mut place = end(&path).to_owned();
    if let Some(line) = row.line() {
        place.push_str(&format!(":{line}"));
    }
    if let ColumnType::Column(column) = row.column() {
        place.push_str(&format!(":{column}"));
    }
    Some(place)
}

fn text<'a>(value: AttributeValue<Slice<'a>>, strings: &Strings<'a>) -> Option<&'a str> {
    let bytes = match value {
        AttributeValue::String(bytes) => bytes,
        AttributeValue::DebugLineStrRef(offset) => strings.line.get_str(offset).ok()?,
        AttributeValue::DebugStrRef(offset) => strings.shared.get_str(offset).ok()?,
        _ => return None,
    };
    std::str::from_utf8(bytes.slice()).ok()
}

/// The end of a path: the file is there, and not the machine that built it.
fn end(path: &str) -> &str {
    let from = path.ceil_char_boundary(path.len().saturating_sub(PATH));
    path.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_debug_information_says_nothing() {
        let module = |line: &[u8]| Module {
            code: 100..200,
            line: line.into(),
            strings: Box::default(),
            shared: Box::default(),
        };
        for line in [
            &b""[..],
            b"\0",
            &[0xff; 64],
            &[0; 64],
            b"\x04\0\0\0\x05\0\x04\0",
        ] {
            let lines = Lines(vec![module(line)]);
            assert_eq!(
                lines.places(&[Some(150), None, Some(5)]),
                [None, None, None]
            );
        }
    }

    #[test]
    fn a_path_is_cut_at_its_beginning() {
        let long = format!("{}/src/main.rs", "é".repeat(PATH));
        assert!(end(&long).len() <= PATH && end(&long).ends_with("é/src/main.rs"));
        assert_eq!(end("main.rs"), "main.rs");
    }
}
