//! Names that the kernel keeps in 16 bytes.

use std::ffi::CString;
use std::fmt;
use std::str::FromStr;

/// The name of a scheduler, a persistence engine or an interface: 1 to 15 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// `IP_VS_SCHEDNAME_MAXLEN`, `IP_VS_PENAME_MAXLEN` and `IP_VS_IFNAME_MAXLEN`, less the NUL at the end.
    pub const MAX_LENGTH: usize = 15;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As in an attribute.
    pub(crate) fn to_wire(&self) -> CString {
        // A name has no NUL in it, so nothing is lost.
        CString::new(self.0.as_str()).unwrap_or_default()
    }

    pub(crate) fn from_wire(name: &CString) -> Result<Self, InvalidName> {
        name.to_string_lossy().parse()
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let valid =
            (1..=Self::MAX_LENGTH).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        if valid { Ok(Self(name.to_owned())) } else { Err(InvalidName(name.to_owned())) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name of 1 to 15 printable ASCII characters")]
pub struct InvalidName(pub String);
