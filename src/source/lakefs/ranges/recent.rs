//! What was asked for last, kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// The values of the keys that were asked for last. Who asks for one that is being loaded waits for that.
pub(super) struct Recent<K, V> {
    most: usize,
    /// The one that was asked for last is at the end.
    cells: Mutex<VecDeque<(K, Arc<OnceCell<V>>)>>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            cells: Mutex::default(),
        }
    }

    /// Gives the value of a key; loads it where nobody has.
    pub(super) async fn get<E>(&self, key: K, load: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let cell = self.cell(key);
        cell.get_or_try_init(|| load).await.cloned()
    }

    fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cells.iter().position(|(known, _)| *known == key);
        let cell = match known.and_then(|at| cells.remove(at)) {
            Some((_, cell)) => cell,
            None => Arc::default(),
        };
        cells.push_back((key, Arc::clone(&cell)));
        if cells.len() > self.most {
            cells.pop_front();
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_asked_for_longest_ago_is_loaded_again_and_what_failed_too() {
        let recent = Recent::new(2);
        let mut loaded = Vec::new();
        for key in ["a", "b", "a", "c", "a", "b"] {
            let value = recent.get(key, async {
                loaded.push(key);
                Ok::<_, ()>(key)
            });
            assert_eq!(value.await, Ok(key));
        }
        assert_eq!(loaded, ["a", "b", "c", "b"]);
        assert_eq!(recent.get("d", async { Err("failed") }).await, Err("failed"));
        assert_eq!(recent.get("d", async { Ok::<_, &str>("d") }).await, Ok("d"));
    }
}
