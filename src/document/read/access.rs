//! What stands inside a node, as serde walks it: the entries of a map, the elements of a list, the word of a
//! choice and what is under it.

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::{Pass, ReadError, Reader, address};
use crate::document::Position;
use crate::document::tree::{Entry, Kind, Node};

/// The entries of a map that are left.
pub(super) struct MapReader<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) parent: usize,
    pub(super) entries: std::vec::IntoIter<&'a Entry>,
    pub(super) value: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for MapReader<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key = Node {
            at: entry.key_at,
            kind: Kind::Scalar {
                text: entry.key.clone(),
                quoted: true,
            },
        };
        let read = seed.deserialize(Reader::new(self.pass, &key));
        read.map(Some).map_err(|error| self.took(error, entry))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some(entry) = self.value.take() else {
            return Err(ReadError::new("a value without a key"));
        };
        let read = match &entry.value.kind {
            Kind::Null { written: false } => {
                let error = ReadError::new(format!("`{}` has no value", entry.key));
                Err(error.at(entry.key_at))
            }
            _ => seed.deserialize(Reader::new(self.pass, &entry.value)),
        };
        read.map_err(|error| self.took(error, entry))
    }
}

impl MapReader<'_> {
    /// The innermost entry that does not fit is the one taken out.
    fn took(&self, mut error: ReadError, entry: &Entry) -> ReadError {
        if error.out.is_none() {
            error.out = Some(address(&entry.value));
            error.bereft = Some(self.parent);
        }
        error
    }
}

/// The elements of a list that are left.
pub(super) struct SeqReader<'a> {
    pass: &'a Pass<'a>,
    nodes: std::vec::IntoIter<&'a Node>,
}

impl<'a> SeqReader<'a> {
    pub(super) fn new(pass: &'a Pass<'a>, mut nodes: Vec<&'a Node>) -> Self {
        nodes.retain(|node| !pass.is_out(node));
        Self {
            pass,
            nodes: nodes.into_iter(),
        }
    }
}

impl<'de> SeqAccess<'de> for SeqReader<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(node) = self.nodes.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Reader::new(self.pass, node));
        read.map(Some).map_err(|mut error| {
            error.out.get_or_insert(address(node));
            error
        })
    }
}

/// A position and the value there.
pub(super) struct AtReader<'a> {
    pub(super) numbers: std::array::IntoIter<u32, 3>,
    pub(super) value: Option<Reader<'a>>,
}

impl<'de> SeqAccess<'de> for AtReader<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        if let Some(number) = self.numbers.next() {
            let number: U32Deserializer<ReadError> = number.into_deserializer();
            return seed.deserialize(number).map(Some);
        }
        self.value
            .take()
            .map(|reader| seed.deserialize(reader))
            .transpose()
    }
}

/// A word, or a word and what stands under it.
pub(super) struct EnumReader<'a> {
    pub(super) pass: &'a Pass<'a>,
    pub(super) variant: &'static str,
    pub(super) at: Position,
    pub(super) content: Option<&'a Node>,
}

impl<'de> EnumAccess<'de> for EnumReader<'_> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let word: StrDeserializer<'_, ReadError> = self.variant.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for EnumReader<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.content {
            None => Ok(()),
            Some(node) => {
                let message = format!("`{}` stands alone, nothing belongs under it", self.variant);
                Err(ReadError::new(message).at(node.at))
            }
        }
    }

    /// A word alone stands for itself with nothing said: an empty mapping.
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        let nothing = Node {
            at: self.at,
            kind: Kind::Map(Vec::new()),
        };
        let node = match self.content {
            Some(Node {
                kind: Kind::Null { written: false },
                at,
            }) => {
                let message = format!("`{}` has no value", self.variant);
                return Err(ReadError::new(message).at(*at));
            }
            Some(node) => node,
            None => &nothing,
        };
        let read = seed.deserialize(Reader::new(self.pass, node));
        read.map_err(|error| match (self.content, error.at) {
            // What the missing mapping should have been is said of the word.
            (None, Some(at)) if at == self.at => {
                let lacks = error.message.replace(", found a mapping", "");
                ReadError {
                    message: format!("`{}` alone says too little: {lacks}", self.variant),
                    ..error
                }
            }
            _ => error,
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::new("no such shape").at(self.at))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let nothing = Node {
            at: self.at,
            kind: Kind::Map(Vec::new()),
        };
        let node = self.content.unwrap_or(&nothing);
        de::Deserializer::deserialize_struct(
            Reader::new(self.pass, node),
            self.variant,
            fields,
            visitor,
        )
    }
}
