//! Protobuf inside gRPC frames: the codec between the messages and the framing of `tonic`.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Encodes `Out` and decodes `In`.
pub(super) struct Protobuf<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for Protobuf<Out, In> {
    fn default() -> Self {
        Protobuf(PhantomData)
    }
}

impl<Out, In> Codec for Protobuf<Out, In>
where
    Out: Message + Send + 'static,
    In: Message + Default + Send + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = Protobuf<Out, ()>;
    type Decoder = Protobuf<(), In>;

    fn encoder(&mut self) -> Self::Encoder {
        Protobuf(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Protobuf(PhantomData)
    }
}

impl<Out: Message> Encoder for Protobuf<Out, ()> {
    type Item = Out;
    type Error = Status;

    fn encode(&mut self, item: Out, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl<In: Message + Default> Decoder for Protobuf<(), In> {
    type Item = In;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<In>, Status> {
        In::decode(from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
