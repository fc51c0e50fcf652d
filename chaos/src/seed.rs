//! One seed for everything: each user of randomness has a stream of its own, named after what it is for.

/// The seed of the stream `name`, by FNV-1a over the root seed and the name: other streams do not move when one
/// is added.
pub(crate) fn stream(root: u64, name: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = root.to_le_bytes().into_iter().chain(name.bytes());
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The seed of the run with this number, from 0: the first is the scenario's own.
pub(crate) fn of_run(root: u64, number: u32) -> u64 {
    if number == 0 { root } else { stream(root, &format!("run {number}")) >> 32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_and_by_name_and_are_always_the_same() {
        assert_eq!(stream(42, "reads"), stream(42, "reads"));
        assert_ne!(stream(42, "reads"), stream(42, "health"));
        assert_ne!(stream(42, "reads"), stream(43, "reads"));
        assert_eq!(of_run(42, 0), 42);
        assert_ne!(of_run(42, 1), of_run(42, 2));
    }
}
