//! How single values stand in attributes, and the enums of attributes that are made of them.

use std::ffi::{CStr, CString};

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NlaBuffer, NlasIterator, Parseable,
};

/// The content of one attribute.
pub(super) trait Value: Sized {
    fn length(&self) -> usize;
    /// Fills `buffer`, which is exactly as long as the value.
    fn emit(&self, buffer: &mut [u8]);
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError>;
    /// Bits in the attribute's type.
    fn flags(&self) -> u16 {
        0
    }
}

/// Defines the attributes of one kind of object. Those that are not listed are kept as they came.
macro_rules! attributes {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$variant_doc:meta])* $variant:ident($type:ty) = $kind:literal, )+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant($type), )+
            /// Not known here: kept as it came.
            Other(netlink_packet_core::DefaultNla),
        }

        impl netlink_packet_core::Nla for $name {
            fn value_len(&self) -> usize {
                match self {
                    $( Self::$variant(value) => $crate::wire::value::Value::length(value), )+
                    Self::Other(other) => other.value_len(),
                }
            }

            fn kind(&self) -> u16 {
                match self {
                    $( Self::$variant(value) => $kind | $crate::wire::value::Value::flags(value), )+
                    Self::Other(other) => other.kind(),
                }
            }

            fn emit_value(&self, buffer: &mut [u8]) {
                match self {
                    $( Self::$variant(value) => $crate::wire::value::Value::emit(value, buffer), )+
                    Self::Other(other) => other.emit_value(buffer),
                }
            }
        }

        impl<'a> netlink_packet_core::Parseable<netlink_packet_core::NlaBuffer<&'a [u8]>> for $name {
            fn parse(
                attribute: &netlink_packet_core::NlaBuffer<&'a [u8]>,
            ) -> Result<Self, netlink_packet_core::DecodeError> {
                use netlink_packet_core::ErrorContext;
                use $crate::wire::value::Value;
                Ok(match attribute.kind() {
                    $( $kind => Self::$variant(
                        Value::parse(attribute)
                            .context(concat!(stringify!($name), "::", stringify!($variant)))?,
                    ), )+
                    _ => Self::Other($crate::wire::value::parse_other(attribute)),
                })
            }
        }
    };
}
pub(super) use attributes;

/// All attributes in `bytes`.
pub(super) fn parse_all<A>(bytes: &[u8]) -> Result<Vec<A>, DecodeError>
where
    A: for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    NlasIterator::new(bytes).map(|attribute| A::parse(&attribute?)).collect()
}

/// An attribute that is not known here. Both flags at once contradict each other, and only one can be written.
pub(super) fn parse_other(attribute: &NlaBuffer<&[u8]>) -> DefaultNla {
    let flag = match (attribute.nested_flag(), attribute.network_byte_order_flag()) {
        (true, _) => NLA_F_NESTED,
        (false, true) => NLA_F_NET_BYTEORDER,
        (false, false) => 0,
    };
    DefaultNla::new(attribute.kind() | flag, attribute.value().to_vec())
}

fn fixed<const N: usize>(attribute: &NlaBuffer<&[u8]>) -> Result<[u8; N], DecodeError> {
    let value = attribute.value();
    value.try_into().map_err(|_| DecodeError::invalid_number(N, value.len()))
}

macro_rules! native_number {
    ($($number:ty),+) => { $(
        impl Value for $number {
            fn length(&self) -> usize {
                size_of::<Self>()
            }
            fn emit(&self, buffer: &mut [u8]) {
                buffer.copy_from_slice(&self.to_ne_bytes());
            }
            fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
                fixed(attribute).map(Self::from_ne_bytes)
            }
        }
    )+ };
}
native_number!(u8, u16, u32);

impl<const N: usize> Value for [u8; N] {
    fn length(&self) -> usize {
        N
    }
    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self);
    }
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        fixed(attribute)
    }
}

/// A transport port: network byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(pub u16);

impl Value for Port {
    fn length(&self) -> usize {
        size_of::<u16>()
    }
    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0.to_be_bytes());
    }
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        fixed(attribute).map(|bytes| Self(u16::from_be_bytes(bytes)))
    }
}

/// A count: 64 bits wide in most places, 32 in some of the older statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// 32 bits: wraps.
    Narrow(u32),
    /// 64 bits.
    Wide(u64),
}

impl From<Counter> for u64 {
    fn from(counter: Counter) -> Self {
        match counter {
            Counter::Narrow(value) => value.into(),
            Counter::Wide(value) => value,
        }
    }
}

impl Value for Counter {
    fn length(&self) -> usize {
        match self {
            Self::Narrow(_) => size_of::<u32>(),
            Self::Wide(_) => size_of::<u64>(),
        }
    }
    fn emit(&self, buffer: &mut [u8]) {
        match self {
            Self::Narrow(value) => buffer.copy_from_slice(&value.to_ne_bytes()),
            Self::Wide(value) => buffer.copy_from_slice(&value.to_ne_bytes()),
        }
    }
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        if attribute.value_length() == size_of::<u32>() {
            fixed(attribute).map(|bytes| Self::Narrow(u32::from_ne_bytes(bytes)))
        } else {
            fixed(attribute).map(|bytes| Self::Wide(u64::from_ne_bytes(bytes)))
        }
    }
}

/// A service's flags with the mask of those that are meant (`struct ip_vs_flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// `IP_VS_SVC_F_*`.
    pub flags: u32,
    /// Which of them are to be set or cleared.
    pub mask: u32,
}

impl Value for Flags {
    fn length(&self) -> usize {
        2 * size_of::<u32>()
    }
    fn emit(&self, buffer: &mut [u8]) {
        let (flags, mask) = buffer.split_at_mut(size_of::<u32>());
        flags.copy_from_slice(&self.flags.to_ne_bytes());
        mask.copy_from_slice(&self.mask.to_ne_bytes());
    }
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let [f0, f1, f2, f3, m0, m1, m2, m3] = fixed(attribute)?;
        Ok(Self { flags: u32::from_ne_bytes([f0, f1, f2, f3]), mask: u32::from_ne_bytes([m0, m1, m2, m3]) })
    }
}

/// A name, always with its terminating NUL.
impl Value for CString {
    fn length(&self) -> usize {
        self.as_bytes_with_nul().len()
    }
    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(self.as_bytes_with_nul());
    }
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        CStr::from_bytes_with_nul(attribute.value())
            .map(Self::from)
            .map_err(|error| DecodeError::from(format!("a name: {error}")))
    }
}

/// Attributes within an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nested<A> {
    /// Whether the attribute's type says that it is nested. The kernel's answers do not, newer libraries'
    /// requests do; the kernel takes both.
    pub marked: bool,
    /// What is within.
    pub attributes: Vec<A>,
}

impl<A> Nested<A> {
    /// As in a request.
    pub fn new(attributes: Vec<A>) -> Self {
        Self { marked: true, attributes }
    }
}

impl<A> Value for Nested<A>
where
    A: netlink_packet_core::Nla + for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    fn length(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }
    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        Ok(Self { marked: attribute.nested_flag(), attributes: parse_all(attribute.value())? })
    }
    fn flags(&self) -> u16 {
        if self.marked { NLA_F_NESTED } else { 0 }
    }
}
