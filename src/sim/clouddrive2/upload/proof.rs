//! What makes an instant upload: hashes asked for, the content known under them, proofs; and
//! the comparison of everything a client said with the bytes (clouddrive2.md section 6).

use std::time::Duration;

use super::super::super::content::{Blob, mix};
use super::super::super::digest::HashKind;
use super::super::messages::{ChannelEvent, RemoteHashDataRequest, hash_type};
use super::super::paths::{kind_of, written};
use super::run::{Run, Stop, error};
use super::script::Piece;
use super::{HashAsk, Upload};

impl Run {
    /// A hash the provider needs: known from the start, asked of the client, or computed from
    /// all bytes when the client cannot (section 6, steps 2 and 3).
    pub(super) async fn hash(&self, number: u32) -> Result<(), Stop> {
        let has = self.with(|upload| upload.known.contains_key(&number))?;
        let block_size = match number {
            hash_type::MD5 => self.account.knobs.number("block_size", 0),
            _ => 0,
        };
        // A block list is never known from the start.
        if has && block_size == 0 {
            return Ok(());
        }
        if !self.facts.client_hashes {
            let blob = self.read_all().await?;
            if let Some(kind) = kind_of(number) {
                let value = written(number, blob.digest(kind).await);
                self.with(|upload| {
                    upload.known.entry(number).or_insert(value);
                })?;
            }
            return Ok(());
        }
        let request = RemoteHashDataRequest {
            hash_type: number,
            block_size: u32::try_from(block_size).ok().filter(|size| *size > 0),
        };
        self.with(|upload| {
            upload.hashes.push(HashAsk {
                request,
                reports: 0,
                value: None,
                blocks: Vec::new(),
            });
        })?;
        let times = if self.account.knobs.flag("hash_twice") {
            2
        } else {
            1
        };
        for _ in 0..times {
            self.emit(ChannelEvent::Hash(request));
        }
        let repeat = Duration::from_millis(self.account.knobs.number("hash_repeat_ms", 60_000));
        let answered = |upload: &mut Upload| {
            let mut asks = upload.hashes.iter();
            asks.find(|ask| ask.request.hash_type == number)
                .filter(|ask| ask.value.is_some())
                .map(|_| ())
        };
        let reports =
            |upload: &mut Upload| -> u64 { upload.hashes.iter().map(|ask| ask.reports).sum() };
        loop {
            let before = self.with(reports)?;
            match tokio::time::timeout(repeat, self.until(answered)).await {
                Ok(done) => return done,
                // Silence: it is asked again (section 7.5).
                Err(_) if self.with(reports)? == before => {
                    self.emit(ChannelEvent::Hash(request));
                }
                Err(_) => {}
            }
        }
    }

    /// The hashes a client gave: type and value; block size and block hashes.
    fn given(&self) -> Result<(Vec<(u32, String)>, Vec<(u64, Vec<String>)>), Stop> {
        self.with(|upload| {
            let known = upload.known.iter();
            let mut values: Vec<(u32, String)> = known
                .map(|(number, value)| (*number, value.clone()))
                .collect();
            let mut blocks = Vec::new();
            for ask in &upload.hashes {
                if let Some(value) = &ask.value {
                    values.push((ask.request.hash_type, value.clone()));
                }
                if let Some(size) = ask.request.block_size {
                    blocks.push((u64::from(size), ask.blocks.clone()));
                }
            }
            (values, blocks)
        })
    }

    /// The content the provider has under the hashes it needs.
    pub(super) async fn known(&self, needs: &[u32]) -> Result<Option<Blob>, Stop> {
        let (values, _) = self.given()?;
        let needed = values.iter().find(|(number, _)| needs.contains(number));
        let Some((number, value)) = needed else {
            return Ok(None);
        };
        let Some(kind) = kind_of(*number) else {
            return Ok(None);
        };
        let inventory = &self.call.sim.kit.inventory;
        Ok(inventory.find(kind, value, self.facts.size).await)
    }

    /// Asks for small ranges as a proof, as many as the setting `challenges` says.
    pub(super) async fn challenge(&self, blob: &Blob) -> Result<(), Stop> {
        for number in 0..self.account.knobs.number("challenges", 0) {
            let random = mix(mix(self.facts.size) ^ number ^ self.call.sim.kit.ids.number());
            let offset = random % self.facts.size.max(1);
            let length = (1 + (random >> 32) % 65_536).min(self.facts.size - offset);
            self.account.meters.challenge();
            self.ask(Piece {
                offset,
                length,
                lazy: false,
            })?;
            self.until(|upload| upload.asks.is_empty().then_some(()))
                .await?;
            let pieces = self.with(|upload| upload.received.pieces())?;
            for (at, piece) in pieces {
                if piece.read(0, u64::MAX) != blob.read(at, piece.size()) {
                    self.account.meters.note("false_proof");
                    return Err(error("the proof is not of this content"));
                }
            }
        }
        Ok(())
    }

    /// Compares a content with every hash the client gave.
    pub(super) async fn verify(&self, blob: &Blob) -> Result<(), Stop> {
        let (values, blocks) = self.given()?;
        let mut good = true;
        for (number, value) in values {
            if let Some(kind) = kind_of(number) {
                good &= blob.digest(kind).await.eq_ignore_ascii_case(&value);
            }
        }
        for (size, list) in blocks {
            let all = match blob.size() {
                0 => String::new(),
                _ => blob.digest(HashKind::BlockMd5(size)).await,
            };
            good &= all == list.join(",");
        }
        if !good {
            self.account.meters.note("false_hash");
            return Err(error("hash mismatch"));
        }
        Ok(())
    }
}
