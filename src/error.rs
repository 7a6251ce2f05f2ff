//! What can go wrong, in words a person reads. Knows nothing of scripts: places are added in `script`.

use std::fmt;

/// What went wrong, and what to do about it.
///
/// `message` says what was given and what was expected, lower case, no full stop, names in
/// backticks. `help` states a fact or an act. Neither holds a place in a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// What was given and what was expected.
    pub message: String,
    /// A fact or an act that mends it.
    pub help: Option<String>,
    /// Why the work ended: a mistake, or a person's wish.
    pub kind: Kind,
}

/// Why work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something given was wrong, or something outside failed.
    Mistake,
    /// A person asked the work to stop; what it had reached is saved.
    Interrupted,
    /// The work stopped itself, for it led nowhere; what it had reached is kept.
    Stopped,
    /// Our own bug.
    Bug,
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, kind: Kind::Mistake }
    }

    /// The same error with a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The stop that a person asked for.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, kind: Kind::Interrupted }
    }

    /// A state we believed impossible.
    pub fn bug(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Some("this is a bug in fewlab; please report it with the script that led here".into()),
            kind: Kind::Bug,
        }
    }

    /// Whether a person asked for the stop.
    pub fn is_interrupt(&self) -> bool {
        self.kind == Kind::Interrupted
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // Candle prints a backtrace below the first line when one is on.
        let text = error.to_string();
        Error::new(text.lines().next().unwrap_or("tensor operation failed").to_string())
    }
}

/// A file that could not be read or written, with its path.
pub fn file(path: &std::path::Path, what: &str, error: impl fmt::Display) -> Error {
    Error::new(format!("cannot {what} `{}`: {error}", path.display()))
}
