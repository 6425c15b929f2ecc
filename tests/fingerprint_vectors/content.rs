//! The generated contents of the protocol sheets.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use panfuse::fingerprint::{Kind, Pipeline};

/// Pieces that contents are generated and hashed in.
const PIECE: u64 = 1 << 20;

/// A content as a sheet describes it: any range of it can be made.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// These bytes.
    Literal(Vec<u8>),
    /// One period, repeated.
    Periodic { period: Vec<u8>, size: u64 },
    /// A periodic content and one more byte.
    PeriodicThen {
        period: Vec<u8>,
        size: u64,
        last: u8,
    },
    /// Baidu's and 123's generator.
    Seeded { seed: u32, size: u64 },
}

impl Content {
    /// A content with the period `byte(0..period)`.
    pub fn pattern(period: u64, size: u64, byte: impl Fn(u64) -> u64) -> Content {
        Content::Periodic {
            period: (0..period).map(|i| byte(i) as u8).collect(),
            size,
        }
    }

    /// `P(n)`: byte i is i mod 251.
    pub fn p(size: u64) -> Content {
        Content::pattern(251, size, |i| i % 251)
    }

    /// 00..ff repeated.
    pub fn counting(size: u64) -> Content {
        Content::pattern(256, size, |i| i)
    }

    /// `Z(n)`: all bytes 0.
    pub fn zeros(size: u64) -> Content {
        Content::pattern(1, size, |_| 0)
    }

    /// `gen(n)`: byte i is (31 i + 7 floor(i/256) + 11) mod 256; repeats after 65,536 bytes.
    pub fn gen_rule(size: u64) -> Content {
        Content::pattern(65536, size, |i| (31 * i + 7 * (i / 256) + 11) % 256)
    }

    /// `gen(n)`, `P(n)`, `Z(n)`, or words with a literal text.
    pub fn parse(text: &str) -> Content {
        let literal = text
            .strip_prefix("ASCII ")
            .or_else(|| text.strip_prefix("ascii "));
        if let Some(literal) = literal {
            let quoted = literal.strip_prefix(['"', '\'']);
            let end = quoted.and_then(|q| q.find(['"', '\'']));
            let bytes = match (quoted, end) {
                (Some(quoted), Some(end)) => &quoted[..end],
                _ => literal,
            };
            return Content::Literal(bytes.into());
        }
        if let Some((rule, rest)) = text.split_once('(')
            && let Some((size, _)) = rest.split_once(')')
            && let Ok(size) = size.parse()
        {
            match rule {
                "gen" => return Content::gen_rule(size),
                "P" => return Content::p(size),
                "Z" => return Content::zeros(size),
                _ => {}
            }
        }
        match text {
            "empty file" => Content::Literal(Vec::new()),
            other => Content::Literal(other.into()),
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Literal(bytes) => bytes.len() as u64,
            Content::Periodic { size, .. } | Content::Seeded { size, .. } => *size,
            Content::PeriodicThen { size, .. } => size + 1,
        }
    }

    /// The bytes of a range.
    pub fn range(&self, range: Range<u64>) -> Vec<u8> {
        assert!(range.start <= range.end && range.end <= self.size());
        let length = (range.end - range.start) as usize;
        match self {
            Content::Literal(bytes) => bytes[range.start as usize..range.end as usize].to_vec(),
            Content::Periodic { period, .. } => {
                let skip = (range.start % period.len() as u64) as usize;
                let mut bytes = period.repeat(length.div_ceil(period.len()) + 1);
                bytes.drain(..skip);
                bytes.truncate(length);
                bytes
            }
            Content::PeriodicThen { period, size, last } => {
                let inner = Content::Periodic {
                    period: period.clone(),
                    size: *size,
                };
                let mut bytes = inner.range(range.start.min(*size)..range.end.min(*size));
                bytes.resize(length, *last);
                bytes
            }
            Content::Seeded { seed, .. } => {
                const STEP: u32 = 2_654_435_761;
                let start = (range.start as u32).wrapping_mul(STEP);
                let mut state = start.wrapping_add(seed.wrapping_mul(2_246_822_519));
                let mut bytes = vec![0; length];
                for byte in &mut bytes {
                    *byte = (state >> 24) as u8;
                    state = state.wrapping_add(STEP);
                }
                bytes
            }
        }
    }

    /// All bytes.
    pub fn all(&self) -> Vec<u8> {
        self.range(0..self.size())
    }

    /// Hands out all bytes in pieces.
    pub fn for_each_piece(&self, mut take: impl FnMut(&[u8])) {
        let mut start = 0;
        while start < self.size() {
            let end = (start + PIECE).min(self.size());
            take(&self.range(start..end));
            start = end;
        }
    }

    /// One pass through the pipeline.
    pub fn hash(&self, kinds: &[Kind]) -> HashMap<Kind, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let values = runtime.unwrap().block_on(async {
            let pipeline = Pipeline::start(kinds, self.size());
            let mut start = 0;
            while start < self.size() {
                let end = (start + PIECE).min(self.size());
                let piece = Bytes::from(self.range(start..end));
                pipeline.push(piece).await.unwrap();
                start = end;
            }
            pipeline.finish().await.unwrap()
        });
        values.into_iter().collect()
    }
}
