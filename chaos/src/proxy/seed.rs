//! One seed for everything: each toxic on each connection has a generator of its own, so that no
//! decision depends on which connection was faster.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator of a toxic on a connection.
pub(super) fn generator(root: u64, proxy: &str, connection: u64, toxic: &str) -> ChaCha8Rng {
    let mut seed = [0; 32];
    let parts = [root, hash(proxy), connection, hash(toxic)];
    for (place, part) in seed.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(seed)
}

/// FNV-1a: the standard library's hashes may change between versions, and seeds are written down.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn each_part_of_the_key_makes_another_sequence_and_the_same_key_the_same() {
        let draw = |root, proxy, connection, toxic| -> u64 {
            generator(root, proxy, connection, toxic).random()
        };
        let first = draw(1, "a", 1, "t");
        assert_eq!(first, draw(1, "a", 1, "t"));
        for other in
            [draw(2, "a", 1, "t"), draw(1, "b", 1, "t"), draw(1, "a", 2, "t"), draw(1, "a", 1, "u")]
        {
            assert_ne!(first, other);
        }
    }
}
