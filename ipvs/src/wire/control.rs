//! The family that knows the other families' numbers (`include/uapi/linux/genetlink.h`), as far as it is needed.
//!
//! Its answer has more in it (operations, policies); netlink-packet-generic decodes that too, and panics when it
//! is not as expected.

use std::ffi::CString;

use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use super::value::{attributes, parse_all};

/// `GENL_ID_CTRL`: its own number.
pub const CONTROL_FAMILY: u16 = 0x10;

/// `CTRL_CMD_GETFAMILY`.
const GET_FAMILY: u8 = 3;

attributes! {
    /// `CTRL_ATTR_*`.
    ControlAttribute {
        /// A family's number.
        FamilyId(u16) = 1,
        /// A family's name.
        FamilyName(CString) = 2,
    }
}

/// The question for a family, or the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyLookup(pub Vec<ControlAttribute>);

impl FamilyLookup {
    /// The family's number.
    pub fn id(&self) -> Option<u16> {
        self.0.iter().find_map(|attribute| match attribute {
            ControlAttribute::FamilyId(id) => Some(*id),
            _ => None,
        })
    }
}

impl GenlFamily for FamilyLookup {
    fn family_name() -> &'static str {
        "nlctrl"
    }

    fn family_id(&self) -> u16 {
        CONTROL_FAMILY
    }

    fn command(&self) -> u8 {
        GET_FAMILY
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for FamilyLookup {
    fn buffer_len(&self) -> usize {
        self.0.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.0.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for FamilyLookup {
    fn parse_with_param(content: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        parse_all(content).map(Self)
    }
}
