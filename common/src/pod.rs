//! `aya::Pod`: types that may be copied to and from the kernel byte by byte.

use crate::{
    Address4, Allow, Budget, Client, Conn, Deny, Flow, FlowKey, Ports, PrimeKey, Settings, Total,
};

// SAFETY: this type and the others here are `repr(C)` integers and byte arrays, valid for every bit pattern, `'static`, and
// without padding: the size of each is asserted to be the sum of its fields beside its definition.
unsafe impl aya::Pod for Address4 {}
// SAFETY: as above.
unsafe impl aya::Pod for Allow {}
// SAFETY: as above.
unsafe impl aya::Pod for Deny {}
// SAFETY: as above.
unsafe impl aya::Pod for Flow {}
// SAFETY: as above.
unsafe impl aya::Pod for FlowKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Settings {}
// SAFETY: as above.
unsafe impl aya::Pod for Total {}
// SAFETY: as above.
unsafe impl aya::Pod for Client {}
// SAFETY: as above.
unsafe impl aya::Pod for Ports {}
// SAFETY: as above.
unsafe impl aya::Pod for Conn {}
// SAFETY: as above.
unsafe impl aya::Pod for Budget {}
// SAFETY: as above.
unsafe impl aya::Pod for PrimeKey {}
// SAFETY: as above.
unsafe impl aya::Pod for crate::range::Aim {}
