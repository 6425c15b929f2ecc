//! Arithmetic modulo an odd number of a fixed size: what m115's RSA and ec115's curve need.
//! It is the server's own: nothing of it is shared with those it checks.

/// An odd modulus of `N` words (the lowest first), with what Montgomery's multiplication
/// needs. Numbers "inside" are in Montgomery's form; [`Modulus::enter`] and
/// [`Modulus::leave`] are the doors.
pub(super) struct Modulus<const N: usize> {
    n: [u64; N],
    /// -1/n modulo 2^64.
    inverse: u64,
    /// One, inside.
    unit: [u64; N],
    /// 2^(128 * N) modulo n: what brings numbers inside.
    square: [u64; N],
}

/// `a + b * c + carry` as low and high word.
fn fused(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let sum = u128::from(a) + u128::from(b) * u128::from(c) + u128::from(carry);
    (sum as u64, (sum >> 64) as u64)
}

/// Big-endian bytes as words; `None` when they are more than `N` words.
fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut all = [0; N];
    for (at, chunk) in bytes.rchunks(8).enumerate() {
        let word = chunk
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        match all.get_mut(at) {
            Some(place) => *place = word,
            None if word == 0 => {}
            None => return None,
        }
    }
    Some(all)
}

impl<const N: usize> Modulus<N> {
    /// The modulus of these big-endian bytes; it is one of the constants of this folder.
    pub(super) fn new(bytes: &[u8]) -> Modulus<N> {
        let n: [u64; N] = words(bytes).unwrap_or([1; N]);
        // Newton's iteration doubles the correct bits: six make 64 of one.
        let inverse = (0..6).fold(1_u64, |x, _| {
            x.wrapping_mul(2_u64.wrapping_sub(n[0].wrapping_mul(x)))
        });
        let mut modulus = Modulus {
            n,
            inverse: inverse.wrapping_neg(),
            unit: [0; N],
            square: [0; N],
        };
        let mut one = [0; N];
        one[0] = 1;
        modulus.unit = (0..64 * N).fold(one, |x, _| modulus.add(&x, &x));
        modulus.square = (0..64 * N).fold(modulus.unit, |x, _| modulus.add(&x, &x));
        modulus
    }

    fn reaches(&self, a: &[u64; N]) -> bool {
        for at in (0..N).rev() {
            if a[at] != self.n[at] {
                return a[at] > self.n[at];
            }
        }
        true
    }

    /// `a - b` modulo 2^(64 * N), and whether something was borrowed.
    fn less(a: &[u64; N], b: &[u64; N]) -> ([u64; N], bool) {
        let mut out = [0; N];
        let mut borrow = false;
        for ((place, a), b) in out.iter_mut().zip(a).zip(b) {
            let (first, one) = a.overflowing_sub(*b);
            let (word, two) = first.overflowing_sub(u64::from(borrow));
            *place = word;
            borrow = one || two;
        }
        (out, borrow)
    }

    /// `a + b` modulo 2^(64 * N), and whether there was a carry.
    fn more(a: &[u64; N], b: &[u64; N]) -> ([u64; N], bool) {
        let mut out = [0; N];
        let mut carry = false;
        for ((place, a), b) in out.iter_mut().zip(a).zip(b) {
            let (first, one) = a.overflowing_add(*b);
            let (word, two) = first.overflowing_add(u64::from(carry));
            *place = word;
            carry = one || two;
        }
        (out, carry)
    }

    pub(super) fn add(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let (sum, carry) = Self::more(a, b);
        match carry || self.reaches(&sum) {
            true => Self::less(&sum, &self.n).0,
            false => sum,
        }
    }

    pub(super) fn sub(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let (difference, borrow) = Self::less(a, b);
        match borrow {
            true => Self::more(&difference, &self.n).0,
            false => difference,
        }
    }

    /// The product of two numbers inside.
    pub(super) fn mul(&self, a: &[u64; N], b: &[u64; N]) -> [u64; N] {
        let mut sum = [0_u64; N];
        let mut high = 0_u64;
        for factor in b {
            let mut carry = 0;
            for (word, a) in sum.iter_mut().zip(a) {
                (*word, carry) = fused(*word, *a, *factor, carry);
            }
            let (next, over) = high.overflowing_add(carry);
            let round = sum[0].wrapping_mul(self.inverse);
            // The lowest word becomes zero and is dropped: a division by 2^64.
            let (_, mut carry) = fused(sum[0], round, self.n[0], 0);
            for at in 1..N {
                (sum[at - 1], carry) = fused(sum[at], round, self.n[at], carry);
            }
            let (top, spill) = next.overflowing_add(carry);
            sum[N - 1] = top;
            high = u64::from(over) + u64::from(spill);
        }
        match high != 0 || self.reaches(&sum) {
            true => Self::less(&sum, &self.n).0,
            false => sum,
        }
    }

    /// A number inside to the power of big-endian bytes.
    pub(super) fn pow(&self, base: &[u64; N], exponent: &[u8]) -> [u64; N] {
        let mut power = self.unit;
        for byte in exponent {
            for bit in (0..8).rev() {
                power = self.mul(&power, &power);
                if byte >> bit & 1 == 1 {
                    power = self.mul(&power, base);
                }
            }
        }
        power
    }

    /// One, inside.
    pub(super) fn one(&self) -> [u64; N] {
        self.unit
    }

    /// Brings a number in; `None` when it is not below the modulus.
    pub(super) fn enter(&self, bytes: &[u8]) -> Option<[u64; N]> {
        let number: [u64; N] = words(bytes)?;
        (!self.reaches(&number)).then(|| self.mul(&number, &self.square))
    }

    /// The number as `8 * N` big-endian bytes.
    pub(super) fn leave(&self, number: &[u64; N]) -> Vec<u8> {
        let mut one = [0; N];
        one[0] = 1;
        let plain = self.mul(number, &one);
        plain
            .iter()
            .rev()
            .flat_map(|word| word.to_be_bytes())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_as_everybody_knows_them() {
        let modulus = Modulus::<2>::new(&[97]);
        let number = |n: u8| modulus.enter(&[n]).unwrap();
        let plain = |n: &[u64; 2]| *modulus.leave(n).last().unwrap();
        assert_eq!(plain(&modulus.mul(&number(13), &number(20))), 66);
        assert_eq!(plain(&modulus.add(&number(90), &number(20))), 13);
        assert_eq!(plain(&modulus.sub(&number(3), &number(20))), 80);
        // Fermat: 5^96 = 1 modulo 97.
        assert_eq!(plain(&modulus.pow(&number(5), &[96])), 1);
        assert_eq!(plain(&modulus.pow(&number(2), &[1, 0])), 61);
        assert_eq!(plain(&modulus.one()), 1);
        assert!(modulus.enter(&[97]).is_none() && modulus.enter(&[1; 17]).is_none());
        assert!(modulus.enter(&[0; 17]).is_some());
    }

    #[test]
    fn a_modulus_that_fills_its_words() {
        // 2^128 - 159 is prime.
        let mut bytes = [0xff; 16];
        bytes[15] = 0x61;
        let modulus = Modulus::<2>::new(&bytes);
        let mut exponent = bytes;
        exponent[15] -= 1;
        for start in [2_u8, 3, 250] {
            let number = modulus
                .enter(&[start, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
                .unwrap();
            assert_eq!(modulus.pow(&number, &exponent), modulus.one());
            let back = modulus.sub(&modulus.add(&number, &number), &number);
            assert_eq!(back, number);
        }
    }
}
