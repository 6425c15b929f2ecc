//! Messages on the wire: protobuf, framed by tonic.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The codec of a call that sends `Q` and gets `A`.
pub struct Proto<Q, A>(PhantomData<fn() -> (Q, A)>);

/// Writes `Q`.
pub struct Writer<Q>(PhantomData<fn() -> Q>);

/// Reads `A`.
pub struct Reader<A>(PhantomData<fn() -> A>);

impl<Q, A> Proto<Q, A> {
    pub fn new() -> Self {
        Proto(PhantomData)
    }
}

impl<Q: Message + 'static, A: Message + Default + 'static> Codec for Proto<Q, A> {
    type Encode = Q;
    type Decode = A;
    type Encoder = Writer<Q>;
    type Decoder = Reader<A>;

    fn encoder(&mut self) -> Writer<Q> {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Reader<A> {
        Reader(PhantomData)
    }
}

impl<Q: Message + 'static> Encoder for Writer<Q> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, message: Q, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl<A: Message + Default + 'static> Decoder for Reader<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        match A::decode(buffer) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::internal(format!("{UNREADABLE}: {error}"))),
        }
    }
}

/// How the text of a status begins that stands for bytes which are no message.
pub const UNREADABLE: &str = "not the message that was expected";
