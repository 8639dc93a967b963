//! Deterministic unit vectors.

use crate::random::SplitMix64;

/// Returns a vector of length 1 that depends only on `hash` and `dimensions`. For the same hash, the
/// components of a vector with fewer dimensions are proportional to the first components of a vector with
/// more dimensions.
pub(super) fn unit_vector(hash: u64, dimensions: usize) -> Vec<f32> {
    let mut random = SplitMix64::new(hash, 0);
    let numbers: Vec<f64> = (0..dimensions).map(|_| random.signed_unit()).collect();
    let square: f64 = numbers.iter().map(|number| number * number).sum();
    let length = square.sqrt().max(f64::MIN_POSITIVE);
    numbers
        .into_iter()
        .map(|number| (number / length) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_1_and_differ_by_hash() {
        for dimensions in [1, 2, 1536] {
            let vector = unit_vector(7, dimensions);
            let square: f32 = vector.iter().map(|number| number * number).sum();
            assert!((square - 1.0).abs() < 1e-4, "{square}");
        }
        assert_eq!(unit_vector(7, 64), unit_vector(7, 64));
        let product: f32 = unit_vector(7, 1536)
            .iter()
            .zip(unit_vector(8, 1536))
            .map(|(a, b)| a * b)
            .sum();
        assert!(product.abs() < 0.2, "{product}");
        assert!(unit_vector(7, 64).iter().any(|number| *number < 0.0));
    }
}
