use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

/// A value whose kind may depend on its key.
pub trait Keyed: Sized {
    /// Reads the value of `key`.
    ///
    /// # Errors
    /// Those of the deserializer.
    fn read<'de, D: Deserializer<'de>>(key: &str, value: D) -> Result<Self, D::Error>;
}

/// The entries of an object, in their order, no key twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<T>(pub Vec<(String, T)>);

impl<'de, T: Keyed> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

pub(crate) struct EntriesVisitor<T>(pub(crate) PhantomData<T>);

impl<'de, T: Keyed> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format_args!("the key {key:?} occurs twice")));
            }
            let value = map.next_value_seed(KeyedSeed(&key, PhantomData))?;
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}

struct KeyedSeed<'a, T>(&'a str, PhantomData<T>);

impl<'de, T: Keyed> DeserializeSeed<'de> for KeyedSeed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(self.0, deserializer)
    }
}
