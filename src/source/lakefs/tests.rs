mod bytes;
mod listings;
mod names;

use super::fake::{Fake, Recording};
use super::*;

/// The commit with odd keys, and the one after it.
const ODD: &str = "82237b272afc19eb7f2a39b0077584b8baf85864b52b31c840bc82079aadc944";
const NEXT: &str = "907602cc7b228f0f446a2e62b35fb14d8051ef8f327c1540a136368392403131";
const FIRST: &str = "c3e12b139c9e325140d64fa1a9adf2ceb38ce97dde0bb82ddc402686181829af";

async fn recorded() -> Fake {
    let recording = Recording::read("s3-store.jsonl");
    Fake::serve(move |seen| recording.answer(seen)).await
}

async fn source_of(server: &Fake, uri: &str) -> Result<LakeFsSource, SourceError> {
    let uri: LakeFsUri = uri.parse().unwrap();
    let config = LakeFsSourceConfig {
        reference: uri.reference,
        prefix: uri.prefix,
        listing: ListingChoice::Pages,
        ..LakeFsSourceConfig::new(uri.repository)
    };
    LakeFsSource::open(server.client(), config).await
}

fn id(text: &str) -> CommitId {
    CommitId::new(text)
}
