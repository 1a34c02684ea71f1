//! A file that is read and never written: what the database writes to it on its way stays in memory.
//!
//! So a database on a disk that can't be written is read even where it was not closed in order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Octets of the pieces that are kept in memory.
const BLOCK_BYTES: u64 = 4096;

/// The file, and what was written since.
#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    state: Mutex<State>,
}

/// What differs from the file.
#[derive(Debug)]
struct State {
    /// Octets of the whole.
    len: u64,
    /// Of the file, no octets behind this count: the whole was cut to it once.
    file_len: u64,
    written: BTreeMap<u64, Box<[u8; BLOCK_BYTES as usize]>>,
}

impl Overlay {
    /// Takes a file as it is.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, state: Mutex::new(State { len, file_len: len, written: BTreeMap::new() }) })
    }

    /// The state. A panic elsewhere leaves nothing half done in it that matters.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The octets of a block as they are now.
    fn block(&self, state: &State, number: u64) -> io::Result<Box<[u8; BLOCK_BYTES as usize]>> {
        if let Some(block) = state.written.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK_BYTES as usize]);
        let start = number * BLOCK_BYTES;
        let count = state.file_len.saturating_sub(start).min(BLOCK_BYTES) as usize;
        self.file.read_exact_at(&mut block[..count], start)?;
        Ok(block)
    }
}

/// The parts of `count` octets from `offset` on in each block: number, start in the block, count.
fn parts(offset: u64, count: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + count as u64;
    (offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)).map(move |number| {
        let start = offset.max(number * BLOCK_BYTES);
        let behind = end.min((number + 1) * BLOCK_BYTES);
        (number, (start % BLOCK_BYTES) as usize, (behind - start) as usize)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if state.written.range(offset / BLOCK_BYTES..).next().is_none() && offset + out.len() as u64 <= state.file_len {
            return self.file.read_exact_at(out, offset);
        }
        for (number, start, count) in parts(offset, out.len()) {
            let part = out.split_off_mut(..count).expect("the parts are of that length");
            part.copy_from_slice(&self.block(&state, number)?[start..start + count]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.len = len;
        state.file_len = state.file_len.min(len);
        state.written.split_off(&len.div_ceil(BLOCK_BYTES));
        if !len.is_multiple_of(BLOCK_BYTES)
            && let Some(last) = state.written.get_mut(&(len / BLOCK_BYTES))
        {
            last[(len % BLOCK_BYTES) as usize..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (number, start, count) in parts(offset, data.len()) {
            let part = data.split_off(..count).expect("the parts are of that length");
            let mut block = self.block(&state, number)?;
            block[start..start + count].copy_from_slice(part);
            state.written.insert(number, block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_a_file_is_and_the_file_stays_as_it_was(
            length in 0_usize..20_000,
            steps in proptest::collection::vec((0_u8..4, 0_u64..20_000, 0_usize..9_000), 0..60),
        ) {
            let mut file = tempfile::tempfile().expect("a file");
            let mut model: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            file.write_all(&model).expect("there is room");
            let before = model.clone();
            let overlay = Overlay::new(file.try_clone().expect("a descriptor")).expect("a file");
            for (number, (step, at, count)) in steps.into_iter().enumerate() {
                let (start, end) = (at as usize, at as usize + count);
                match step {
                    0 => {
                        overlay.set_len(at).expect("it takes any length");
                        model.resize(start, 0);
                    }
                    1 => {
                        let octets = vec![number as u8; count];
                        let is_inside = end <= model.len();
                        prop_assert_eq!(overlay.write(at, &octets).is_ok(), is_inside);
                        if is_inside {
                            model[start..end].copy_from_slice(&octets);
                        }
                    }
                    _ => {
                        let mut read = vec![0xEE; count];
                        let found = overlay.read(at, &mut read).ok().map(|()| &read[..]);
                        prop_assert_eq!(found, model.get(start..end));
                    }
                }
                prop_assert_eq!(overlay.len().expect("it is known"), model.len() as u64);
            }
            let mut read = vec![0; model.len()];
            overlay.read(0, &mut read).expect("all of it");
            prop_assert_eq!(read, model);
            let mut left = vec![0; before.len()];
            file.read_exact_at(&mut left, 0).expect("it is there");
            prop_assert!(left == before && file.metadata().expect("it is there").len() == length as u64);
        }
    }
}
