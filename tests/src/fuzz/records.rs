//! What lies on a volume.

/// Any bytes are a record, or none.
pub fn volume_record(bytes: &[u8]) {
    edge::cache::probe::decode(bytes);
}
