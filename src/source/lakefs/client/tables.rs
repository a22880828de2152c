//! The tables of commits, from wherever they are.

use bytes::Bytes;

use super::{Answer, ByteSpan, BytesParams, Delivery, LakeFsClient};

impl LakeFsClient {
    /// Reads all bytes of a table, from wherever they are.
    pub async fn table(&self, repository: &str, kind: &str, id: &str, most_bytes: usize) -> Answer<Bytes> {
        let bytes = self.table_bytes(repository, kind, id);
        if !self.may_read_store() {
            return self.table_from_server(&bytes, most_bytes).await;
        }
        match self.presign(&bytes).await? {
            Delivery::Bytes(stream) => match stream.whole(most_bytes).await {
                Err(error) if error.kind.is_passing() => self.table_from_server(&bytes, most_bytes).await,
                whole => whole,
            },
            Delivery::Elsewhere(url) => {
                let read = async {
                    self.read_presigned(&bytes, &url, ByteSpan::default(), None)
                        .await?
                        .whole(most_bytes)
                        .await
                };
                match read.await {
                    Ok(table) => Ok(table),
                    Err(error) => {
                        self.note_store(&error);
                        tracing::debug!(%error, "a table cannot be read from the store; lakeFS is asked for it");
                        self.table_from_server(&bytes, most_bytes).await
                    }
                }
            }
        }
    }

    /// A body that breaks off is read again as a whole.
    async fn table_from_server(&self, bytes: &BytesParams, most_bytes: usize) -> Answer<Bytes> {
        let mut broken = 1;
        loop {
            match self.read(bytes, ByteSpan::default()).await?.whole(most_bytes).await {
                Err(error) if error.kind.is_passing() && broken < self.inner.config.retry.max_attempts => broken += 1,
                whole => return whole,
            }
        }
    }
}
