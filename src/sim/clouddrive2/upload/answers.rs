//! What a client answers: bytes and hashes, and how they are checked (clouddrive2.md sections
//! 7.4, 7.5 and 11, 5).

use bytes::Bytes;
use tonic::Status as Refusal;

use super::super::super::faults::FaultKind;
use super::super::gate::Call;
use super::super::messages::{
    RemoteHashProgressUpload, RemoteReadDataReply, RemoteReadDataUpload, hash_type,
};
use super::{Ask, FORGOTTEN, Upload, well_formed};

fn refused(why: &str) -> RemoteReadDataReply {
    RemoteReadDataReply {
        success: false,
        error_message: why.to_owned(),
        bytes_received: 0,
        is_last_chunk: false,
    }
}

fn accepted(bytes_received: u64, is_last_chunk: bool) -> RemoteReadDataReply {
    RemoteReadDataReply {
        success: true,
        error_message: String::new(),
        bytes_received,
        is_last_chunk,
    }
}

impl Ask {
    /// Where its bytes end: what is asked beyond the file does not exist, and length 0 is read
    /// as everything to its end.
    fn end(&self, size: u64) -> u64 {
        match self.piece.length {
            0 => size,
            length => self.piece.offset.saturating_add(length).min(size),
        }
    }

    /// Whether an empty answer is one to it.
    fn takes_nothing(&self, offset: u64, size: u64) -> bool {
        self.piece.offset == offset && (self.piece.length == 0 || offset >= size)
    }
}

impl Upload {
    /// Notes a read request.
    pub(super) fn ask(&mut self, piece: super::Piece) {
        let ask = Ask {
            piece,
            got: super::Ranges::default(),
        };
        let end = ask.end(self.size);
        if ask.takes_nothing(piece.offset, self.size) {
            self.empty_asks.push(piece.offset);
        }
        self.asked.push((piece.offset, end, piece.lazy));
        self.asked_set.add(piece.offset, end);
        self.asks.push(ask);
    }

    /// Whether all of a range was asked for at some time.
    fn was_asked(&self, from: u64, to: u64) -> bool {
        match from < to {
            true => self.asked_set.covers(from, to),
            // An empty answer belongs to an empty request.
            false => self.empty_asks.contains(&from),
        }
    }

    /// Whether some request over this place had this `lazy_read`.
    fn lazy_fits(&self, from: u64, to: u64, lazy: bool) -> bool {
        self.asked.iter().any(|(start, end, asked)| {
            let over = *start == from || (*start < to && from < *end);
            over && *asked == lazy
        })
    }

    /// Both readings of `is_last_chunk` (section 7.4): the end of the file is reached, or the
    /// requested range's.
    fn last_fits(&self, to: u64, last: bool) -> bool {
        let range_end = self.asked.iter().any(|(_, end, _)| *end == to);
        match last {
            true => to >= self.size || range_end,
            false => to < self.size,
        }
    }

    /// Takes the bytes of an answer.
    fn take(&mut self, from: u64, data: Bytes) -> bool {
        let to = from + data.len() as u64;
        let same = data.is_empty() || self.received.put(from, data);
        let size = self.size;
        for ask in &mut self.asks {
            ask.got.add(from, to);
        }
        self.asks.retain(|ask| {
            let end = ask.end(size);
            let answered = match from == to {
                true => ask.takes_nothing(from, size),
                false => ask.piece.offset < end && ask.got.covers(ask.piece.offset, end),
            };
            !answered
        });
        same
    }
}

impl Call {
    pub(in super::super) async fn read_data(
        self,
        request: RemoteReadDataUpload,
    ) -> Result<RemoteReadDataReply, Refusal> {
        let meters = &self.account.meters;
        let length = request.data.len() as u64;
        meters.up(length);
        let mut data = request.data;
        if self
            .account
            .faults
            .take(self.op, FaultKind::Corrupt)
            .is_some()
        {
            let blob = super::super::super::content::Blob::bytes(data).corrupted();
            data = blob.read(0, length);
        }
        let mut state = self.sim.state();
        let own = |upload: &&mut Upload| upload.profile() == self.account.profile;
        let Some(upload) = state.uploads.get_mut(&request.upload_id).filter(own) else {
            return Ok(refused(FORGOTTEN));
        };
        if !upload.is_open() {
            // The answer to a request that was made twice may come after the end.
            let to = request.offset.saturating_add(length);
            let late = upload.succeeded() && upload.was_asked(request.offset, to);
            return Ok(match late {
                true => accepted(length, request.is_last_chunk),
                false => refused(FORGOTTEN),
            });
        }
        if request.length != length {
            meters.note("bad_answer");
            return Ok(refused("length is not that of the data"));
        }
        let from = request.offset;
        let to = match from.checked_add(length) {
            Some(to) if length == 0 || to <= upload.size => to,
            _ => {
                meters.note("bad_answer");
                return Ok(refused("range is outside of the file"));
            }
        };
        if !upload.was_asked(from, to) {
            meters.note("unrequested");
            return Ok(refused("range was not requested"));
        }
        if !upload.lazy_fits(from, to, request.lazy_read) {
            meters.note("lazy_not_echoed");
        }
        if length > 0 && !upload.last_fits(to, request.is_last_chunk) {
            meters.note("bad_last_chunk");
        }
        if !upload.take(from, data) {
            meters.note("contradiction");
            upload.failure = Some("data differs from what was sent before".to_owned());
        }
        upload.wake.notify_one();
        Ok(accepted(length, request.is_last_chunk))
    }

    pub(in super::super) async fn hash_progress(
        self,
        request: RemoteHashProgressUpload,
    ) -> Result<(), Refusal> {
        let meters = &self.account.meters;
        let bad = |why: &str| {
            meters.note("bad_answer");
            Err(Refusal::invalid_argument(why))
        };
        let mut state = self.sim.state();
        let own = |upload: &&mut Upload| upload.profile() == self.account.profile;
        let Some(upload) = state.uploads.get_mut(&request.upload_id).filter(own) else {
            return Err(Refusal::not_found(FORGOTTEN));
        };
        if !upload.is_open() {
            // As above: a report to a request that was repeated.
            let number = request.hash_type;
            let mut asks = upload.hashes.iter();
            let asked = asks.any(|ask| i64::from(ask.request.hash_type) == i64::from(number));
            return match asked && upload.succeeded() {
                true => Ok(()),
                false => Err(Refusal::not_found(FORGOTTEN)),
            };
        }
        let size = upload.size;
        if request.total_bytes != size || request.bytes_hashed > size {
            return bad("bytes_hashed and total_bytes do not fit the file");
        }
        let number = u32::try_from(request.hash_type).unwrap_or(0);
        let mut asks = upload.hashes.iter_mut();
        let Some(ask) = asks.find(|ask| ask.request.hash_type == number) else {
            meters.note("unrequested");
            return bad("hash was not requested");
        };
        ask.reports += 1;
        let Some(value) = request.hash_value.filter(|value| !value.is_empty()) else {
            // Progress: block hashes come with the final report only.
            return match request.block_hashes.is_empty() {
                true => Ok(()),
                false => bad("block_hashes without hash_value"),
            };
        };
        if !well_formed(number, &value) {
            return bad("hash_value has not the form of its type");
        }
        if request.bytes_hashed != size {
            return bad("hash_value before the end");
        }
        let block = u64::from(ask.request.block_size.unwrap_or(0));
        let wanted = match (number, block) {
            (hash_type::MD5, 1..) => size.div_ceil(block),
            _ => 0,
        };
        let blocks = request.block_hashes;
        if blocks.len() as u64 != wanted || !blocks.iter().all(|hash| well_formed(1, hash)) {
            return bad("block_hashes do not fit block_size");
        }
        let before = ask.value.as_ref();
        if before.is_some_and(|before| *before != value || ask.blocks != blocks) {
            meters.note("contradiction");
            upload.failure = Some("hash differs from what was sent before".to_owned());
        } else {
            ask.value = Some(value);
            ask.blocks = blocks;
        }
        upload.wake.notify_one();
        Ok(())
    }
}
