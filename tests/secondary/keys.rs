//! Keys of transfers, one for each algorithm, as each program writes them.

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: String,
    /// Its algorithm, as all but dig call it.
    pub(crate) algorithm: &'static str,
    /// Its secret in base64.
    pub(crate) secret: String,
}

impl Key {
    /// The key of an algorithm.
    pub(crate) fn new(algorithm: &'static str) -> Self {
        let secret = data_encoding::BASE64.encode(&[algorithm.as_bytes(), &[7; 64]].concat()[..64]);
        Self { name: format!("key-of-{algorithm}.test"), algorithm, secret }
    }

    /// The same with a secret that nobody else knows.
    pub(crate) fn with_other_secret(mut self) -> Self {
        self.secret = data_encoding::BASE64.encode(&[8; 64]);
        self
    }

    /// As clients take it on their command line.
    pub(crate) fn argument(&self) -> String {
        format!("{}:{}:{}", self.algorithm, self.name, self.secret)
    }
}
