//! The quick way from text to a name, for what nearly all names are: good, and without escapes.

use super::{LABEL_BYTES_MAX, Name, NameError, NameRef};

impl Name {
    /// Becomes the name that [`Self::from_text`] reads, without a copy on the way; the root on an error.
    ///
    /// # Errors
    /// Those of [`Self::from_text`].
    pub fn set_text(&mut self, text: &[u8], origin: Option<NameRef<'_>>) -> Result<(), NameError> {
        match self.set_plain(text, origin) {
            Some(len) => self.len = len,
            None => {
                *self = Self::ROOT;
                *self = Self::from_any_text(text, origin)?;
            }
        }
        Ok(())
    }

    /// Fills in the octets of a good name without escapes and returns how many there are; `None` for all others, which
    /// leaves anything behind.
    fn set_plain(&mut self, text: &[u8], origin: Option<NameRef<'_>>) -> Option<u8> {
        if text == b"@" {
            let origin = origin?;
            self.bytes.get_mut(..origin.len())?.copy_from_slice(origin.0);
            return u8::try_from(origin.len()).ok();
        }
        let is_length_good = |length: usize| (1..=LABEL_BYTES_MAX).contains(&length);
        self.bytes.get_mut(1..=text.len())?.copy_from_slice(text);
        // Each dot gives way to the length of the label behind it; the first length stands in front of the text.
        let mut start = 0;
        for (at, octet) in text.iter().enumerate() {
            match octet {
                b'\\' => return None,
                b'.' if is_length_good(at - start) => {
                    self.bytes[start] = (at - start) as u8;
                    start = at + 1;
                }
                b'.' => return None,
                _ => {}
            }
        }
        let last = text.len() - start;
        self.bytes[start] = last as u8;
        if last == 0 {
            return u8::try_from(start + 1).ok().filter(|_| start > 0);
        }
        let origin = origin.filter(|_| is_length_good(last))?.0;
        let end = 1 + text.len() + origin.len();
        self.bytes.get_mut(1 + text.len()..end)?.copy_from_slice(origin);
        u8::try_from(end).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a good name")
    }

    #[test]
    fn names_without_escapes_are_read_as_all_others_are() {
        let (label, origin) = ("a".repeat(63), name("b.c."));
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let parts = [".", "x", "@", "\\.", "\\25", &label, &label[..61]];
            texts.extend(texts.clone().iter().flat_map(|text| parts.map(|part| format!("{text}{part}"))));
        }
        let bytes = |read: Result<Name, NameError>| read.map(|name| name.as_ref().as_bytes().to_vec());
        for (text, origin) in texts.iter().flat_map(|text| [(text, None), (text, Some(origin.as_ref()))]) {
            let (mut read, expected) = (name("left.over."), Name::from_any_text(text.as_bytes(), origin));
            let outcome = read.set_text(text.as_bytes(), origin);
            assert_eq!(bytes(outcome.map(|()| read)), bytes(expected), "{text}");
            assert_eq!(read, expected.unwrap_or(Name::ROOT), "{text}");
        }
    }
}
