//! The curve NIST P-224, as far as a key agreement needs it (115_open.md section 3.4).

use super::number::Modulus;

/// 2^224 - 2^96 + 1.
const PRIME: [u8; 28] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
];
/// `b` of y^2 = x^3 - 3x + b.
const B: [u8; 28] = [
    0xb4, 0x05, 0x0a, 0x85, 0x0c, 0x04, 0xb3, 0xab, 0xf5, 0x41, 0x32, 0x56, 0x50, 0x44, 0xb0, 0xb7,
    0xd7, 0xbf, 0xd8, 0xba, 0x27, 0x0b, 0x39, 0x43, 0x23, 0x55, 0xff, 0xb4,
];
/// The smallest number that is no square.
const NO_SQUARE: [u8; 1] = [11];
/// The prime less one is 2^96 times the odd number 2^128 - 1.
const TWOS: usize = 96;

type Number = [u64; 4];

/// The numbers modulo the prime.
struct Field {
    modulus: Modulus<4>,
    b: Number,
    zero: Number,
}

/// A point, x = X/Z^2 and y = Y/Z^3; Z is zero for the point at infinity.
#[derive(Clone, Copy)]
struct Point {
    x: Number,
    y: Number,
    z: Number,
}

impl Field {
    fn new() -> Field {
        let modulus = Modulus::new(&PRIME);
        let b = modulus.enter(&B).unwrap_or([0; 4]);
        Field {
            modulus,
            b,
            zero: [0; 4],
        }
    }

    fn mul(&self, a: &Number, b: &Number) -> Number {
        self.modulus.mul(a, b)
    }

    fn square(&self, a: &Number) -> Number {
        self.modulus.mul(a, a)
    }

    fn add(&self, a: &Number, b: &Number) -> Number {
        self.modulus.add(a, b)
    }

    fn sub(&self, a: &Number, b: &Number) -> Number {
        self.modulus.sub(a, b)
    }

    fn twice(&self, a: &Number) -> Number {
        self.modulus.add(a, a)
    }

    fn bytes(&self, a: &Number) -> [u8; 28] {
        let mut out = [0; 28];
        // Below 2^224: the first four of the 32 bytes are zero.
        for (place, byte) in out
            .iter_mut()
            .zip(self.modulus.leave(a).into_iter().skip(4))
        {
            *place = byte;
        }
        out
    }

    /// x^3 - 3x + b.
    fn right_side(&self, x: &Number) -> Number {
        let cube = self.mul(&self.square(x), x);
        let triple = self.add(&self.twice(x), x);
        self.add(&self.sub(&cube, &triple), &self.b)
    }

    /// A square root after Tonelli and Shanks; `None` of a number that is no square.
    fn root(&self, a: &Number) -> Option<Number> {
        if *a == self.zero {
            return Some(self.zero);
        }
        let one = self.modulus.one();
        // With q = 2^128 - 1: a^((q-1)/2), then the root a^((q+1)/2) up to the error a^q.
        let mut half = [0xff; 16];
        half[0] = 0x7f;
        let half = self.modulus.pow(a, &half);
        let mut root = self.mul(a, &half);
        let mut error = self.mul(&root, &half);
        let generator = self.modulus.enter(&NO_SQUARE)?;
        let mut step = self.modulus.pow(&generator, &[0xff; 16]);
        let mut order = TWOS;
        while error != one {
            let mut power = error;
            let mut least = 0;
            while power != one {
                power = self.square(&power);
                least += 1;
                if least == order {
                    return None;
                }
            }
            for _ in 0..order - least - 1 {
                step = self.square(&step);
            }
            root = self.mul(&root, &step);
            step = self.square(&step);
            error = self.mul(&error, &step);
            order = least;
        }
        Some(root)
    }

    fn double(&self, p: &Point) -> Point {
        let delta = self.square(&p.z);
        let gamma = self.square(&p.y);
        let beta = self.mul(&p.x, &gamma);
        let product = self.mul(&self.sub(&p.x, &delta), &self.add(&p.x, &delta));
        let alpha = self.add(&self.twice(&product), &product);
        let four = self.twice(&self.twice(&beta));
        let x = self.sub(&self.square(&alpha), &self.twice(&four));
        let z = self.twice(&self.mul(&p.y, &p.z));
        let eight = self.twice(&self.twice(&self.twice(&self.square(&gamma))));
        let y = self.sub(&self.mul(&alpha, &self.sub(&four, &x)), &eight);
        Point { x, y, z }
    }

    fn sum(&self, p: &Point, q: &Point) -> Point {
        if p.z == self.zero {
            return *q;
        }
        if q.z == self.zero {
            return *p;
        }
        let (pz, qz) = (self.square(&p.z), self.square(&q.z));
        let (u1, u2) = (self.mul(&p.x, &qz), self.mul(&q.x, &pz));
        let s1 = self.mul(&p.y, &self.mul(&qz, &q.z));
        let s2 = self.mul(&q.y, &self.mul(&pz, &p.z));
        let (h, r) = (self.sub(&u2, &u1), self.sub(&s2, &s1));
        if h == self.zero {
            return match r == self.zero {
                true => self.double(p),
                false => self.infinity(),
            };
        }
        let h2 = self.square(&h);
        let h3 = self.mul(&h2, &h);
        let v = self.mul(&u1, &h2);
        let x = self.sub(&self.sub(&self.square(&r), &h3), &self.twice(&v));
        let y = self.sub(&self.mul(&r, &self.sub(&v, &x)), &self.mul(&s1, &h3));
        let z = self.mul(&h, &self.mul(&p.z, &q.z));
        Point { x, y, z }
    }

    fn infinity(&self) -> Point {
        let one = self.modulus.one();
        Point {
            x: one,
            y: one,
            z: self.zero,
        }
    }

    fn times(&self, scalar: &[u8], point: &Point) -> Point {
        let mut product = self.infinity();
        for byte in scalar {
            for bit in (0..8).rev() {
                product = self.double(&product);
                if byte >> bit & 1 == 1 {
                    product = self.sum(&product, point);
                }
            }
        }
        product
    }

    /// Both coordinates of a point; `None` at infinity.
    fn affine(&self, p: &Point) -> Option<([u8; 28], [u8; 28])> {
        if p.z == self.zero {
            return None;
        }
        // Fermat: z^(p-2) is 1/z. The borrow of p-2 reaches up to byte 15.
        let mut exponent = PRIME;
        for byte in &mut exponent[16..28] {
            *byte = 0xff;
        }
        exponent[15] = 0xfe;
        let inverse = self.modulus.pow(&p.z, &exponent);
        let square = self.square(&inverse);
        let x = self.mul(&p.x, &square);
        let y = self.mul(&p.y, &self.mul(&square, &inverse));
        Some((self.bytes(&x), self.bytes(&y)))
    }

    /// The point of an x with an even or odd y.
    fn lift(&self, x: &[u8; 28], odd: bool) -> Option<Point> {
        let x = self.modulus.enter(x)?;
        let y = self.root(&self.right_side(&x))?;
        let is_odd = self.bytes(&y)[27] & 1 == 1;
        let y = match is_odd == odd {
            true => y,
            false => self.sub(&self.zero, &y),
        };
        let z = self.modulus.one();
        Some(Point { x, y, z })
    }
}

/// X and Y of `scalar` times the point that `x` and the sign of its y name. `None` when
/// there is no such point on the curve, or the product is the point at infinity.
pub(super) fn multiply(scalar: &[u8], x: &[u8; 28], odd: bool) -> Option<([u8; 28], [u8; 28])> {
    let field = Field::new();
    let point = field.lift(x, odd)?;
    field.affine(&field.times(scalar, &point))
}

/// The curve's generator: X, and whether Y is odd.
#[cfg(test)]
pub(super) const GENERATOR: ([u8; 28], bool) = (
    [
        0xb7, 0x0e, 0x0c, 0xbd, 0x6b, 0xb4, 0xbf, 0x7f, 0x32, 0x13, 0x90, 0xb9, 0x4a, 0x03, 0xc1,
        0xd3, 0x56, 0xc2, 0x11, 0x22, 0x34, 0x32, 0x80, 0xd6, 0x11, 0x5c, 0x1d, 0x21,
    ],
    false,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_none() {
        // About half of all numbers below the prime are the X of a point; the prime is none.
        let mut small = [0; 28];
        small[27] = 5;
        let found: Vec<bool> = (1..40)
            .map(|x| {
                small[27] = x;
                multiply(&[1], &small, false).is_some()
            })
            .collect();
        let on = found.iter().filter(|found| **found).count();
        assert!((8..32).contains(&on), "{on} of 39");
        assert_eq!(multiply(&[1], &PRIME, false), None);
        assert_eq!(multiply(&[0], &GENERATOR.0, GENERATOR.1), None);
    }

    #[test]
    fn sums_agree() {
        let (x, odd) = GENERATOR;
        let (x3, y3) = multiply(&[3], &x, odd).unwrap();
        let six = multiply(&[6], &x, odd);
        assert_eq!(multiply(&[2], &x3, y3[27] & 1 == 1), six);
        let (x1, y1) = multiply(&[1], &x, odd).unwrap();
        assert_eq!((x1, y1[27] & 1 == 1), (x, odd));
        // The order less one is the generator with the other sign.
        let order = "ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3c";
        let order: Vec<u8> = (0..28)
            .map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let (last, sign) = multiply(&order, &x, odd).unwrap();
        assert_eq!((last, sign[27] & 1 == 1), (x, !odd));
    }
}
