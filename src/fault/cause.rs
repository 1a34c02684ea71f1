//! What a fault of a file, a bound or a `$GENERATE` directive comes from.

use std::io;

/// What is wrong with a `$GENERATE` directive itself (the records it makes have the faults of all records).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateCause {
    /// The range is not `start-stop` or `start-stop/step`.
    #[error("this is no range: expected start-stop or start-stop/step")]
    Range,
    /// A number of the range is over 2^31-1.
    #[error("a number of the range is larger than 2147483647")]
    RangeNumber,
    /// The range ends before it starts.
    #[error("the range ends before it starts")]
    RangeBackwards,
    /// The step is zero.
    #[error("the step must be at least 1")]
    StepZero,
    /// What follows `${` is no modifier.
    #[error("this is no modifier: expected ${{offset}}, ${{offset,width}} or ${{offset,width,base}}")]
    Modifier,
    /// The base is none of those known.
    #[error("unknown base: expected d, o, x, X, n or N")]
    Base,
    /// The width is over what a number may take.
    #[error("the width is larger than {max}")]
    Width {
        /// The largest width.
        max: usize,
    },
    /// A number with its offset is over 2^31-1, or below zero where that cannot be written.
    #[error("the number and its offset leave the range that can be written")]
    Number,
    /// What was made is longer than any record.
    #[error("the text that is made is longer than {max} octets")]
    TooLong {
        /// The most octets.
        max: usize,
    },
}

/// Why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is not there.
    #[error("there is no such file")]
    Missing,
    /// It is a folder.
    #[error("this is a directory, not a file")]
    Directory,
    /// It is a pipe with a name, which would never end or never begin.
    #[error("this is a pipe (FIFO), not a regular file")]
    Pipe,
    /// It is a socket.
    #[error("this is a socket, not a regular file")]
    Socket,
    /// It is a device.
    #[error("this is a device, not a regular file")]
    Device,
    /// It is a link that leads back to itself.
    #[error("this link leads in a circle")]
    LinkLoop,
    /// The system refuses it.
    #[error("this file may not be read by this user")]
    Denied,
    /// It is longer than a zone may be.
    #[error("this is longer than {max} octets")]
    TooLong {
        /// How long it may be.
        max: u64,
    },
    /// There is no memory for what it may take.
    #[error("not read, for want of memory: the zone may take {needed} MiB more, and {left} MiB are left below {limit}")]
    NoMemory {
        /// How much is missing, in MiB.
        needed: u64,
        /// What is left, in MiB.
        left: u64,
        /// What sets the limit.
        limit: &'static str,
    },
    /// It is to be included and lies where nothing may be included from.
    #[error("this lies neither below the folder of the zone's file nor below one of `include-dirs`")]
    Outside,
    /// Something else.
    #[error("cannot be read: {0}")]
    Other(io::ErrorKind),
}

impl FileError {
    /// The code of the fault.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Missing => "file-missing",
            Self::Directory => "file-is-directory",
            Self::Pipe | Self::Socket | Self::Device => "file-special",
            Self::TooLong { .. } => "file-too-long",
            Self::Outside => "include-outside",
            Self::LinkLoop | Self::Denied | Self::NoMemory { .. } | Self::Other(_) => "file-unreadable",
        }
    }
}

impl From<io::ErrorKind> for FileError {
    fn from(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            io::ErrorKind::PermissionDenied => Self::Denied,
            kind => Self::Other(kind),
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        error.kind().into()
    }
}

/// What one zone may take only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Octets of its files.
    Octets,
    /// Octets of files that it includes again.
    RepeatedOctets,
    /// Records.
    Records,
    /// Records that `$GENERATE` makes.
    GenerateSteps,
    /// Their octets.
    GenerateOctets,
}

impl Bound {
    /// How many there are.
    pub const COUNT: usize = 5;
    /// All, in their order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Octets, Self::RepeatedOctets, Self::Records, Self::GenerateSteps, Self::GenerateOctets];

    /// What is counted.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Octets => "octets",
            Self::RepeatedOctets => "octets of files that it includes again",
            Self::Records => "records",
            Self::GenerateSteps => "steps of `$GENERATE`",
            Self::GenerateOctets => "octets of records that `$GENERATE` makes",
        }
    }

    /// The key of the configuration that sets it.
    pub(super) fn key(self) -> Option<&'static str> {
        match self {
            Self::Octets => Some("zone-octets-max"),
            Self::RepeatedOctets => None,
            Self::Records => Some("zone-records-max"),
            Self::GenerateSteps | Self::GenerateOctets => Some("generate-steps-max"),
        }
    }
}
