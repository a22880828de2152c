//! What a bucket lets happen, and how: every request as one step that nothing can see half done.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::StoredObject;
use super::state::{PendingUpload, State, multipart_etag, single_etag};
use crate::model::{ETag, Mark, ObjectKey};
use crate::store::{
    Checksum, Condition, CopySource, Listed, Listing, ObjectHeaders, ObjectMeta, Part, Put, RequestKind,
    StoreErrorKind, Upload, UploadListing, Written, checksum_base64,
};

type Answer<T> = Result<T, StoreErrorKind>;

/// What S3 allows for all user metadata of an object, names and values together.
const METADATA_LIMIT_BYTES: usize = 2_048;

impl State {
    pub fn put(&mut self, key: &ObjectKey, put: Put) -> Answer<Written> {
        let key = self.kept_key(key)?;
        self.verify(put.checksum, put.checksum_value.as_deref(), &put.body)?;
        self.check_headers(RequestKind::Put, &key, &put.headers)?;
        let can = self.settings.capabilities;
        self.admit(RequestKind::Put, &key, &put.condition, can.put_absent, can.put_matches)?;
        let etag = single_etag(&put.body);
        Ok(self.insert(&key, put.body, etag, put.headers))
    }

    pub fn copy(
        &mut self,
        from: &CopySource,
        elsewhere: Option<Answer<StoredObject>>,
        to: &ObjectKey,
        condition: &Condition,
        headers: ObjectHeaders,
    ) -> Answer<Written> {
        let to = self.kept_key(to)?;
        self.check_headers(RequestKind::Copy, &to, &headers)?;
        let can = self.settings.capabilities;
        let bytes = self
            .copy_source(RequestKind::Copy, from, elsewhere, can.copy_source_matches)?
            .bytes;
        self.admit(RequestKind::Copy, &to, condition, can.copy_absent, can.copy_matches)?;
        // Also where the source was made of parts: a copy in one request is one piece.
        let etag = single_etag(&bytes);
        Ok(self.insert(&to, bytes, etag, headers))
    }

    pub fn create_upload(&mut self, key: &ObjectKey, headers: ObjectHeaders) -> Answer<Upload> {
        let key = self.kept_key(key)?;
        self.check_headers(RequestKind::CreateUpload, &key, &headers)?;
        let id = format!("upload-{:08}", self.fresh_id());
        let pending = PendingUpload {
            key: key.clone(),
            headers,
            initiated: self.now(),
            parts: std::collections::BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), pending);
        Ok(Upload {
            key,
            id,
            initiated: None,
        })
    }

    pub fn upload_part(&mut self, upload: &Upload, number: u16, body: Bytes) -> Answer<Part> {
        let pending = self.pending(upload)?;
        if !(1..=10_000).contains(&number) {
            return Err(refused(400, "InvalidArgument"));
        }
        let etag = single_etag(&body);
        pending.parts.insert(number, (body, etag.clone()));
        Ok(Part {
            number,
            etag,
            checksum: None,
        })
    }

    pub fn upload_part_copy(
        &mut self,
        upload: &Upload,
        number: u16,
        from: &CopySource,
        elsewhere: Option<Answer<StoredObject>>,
        range: Range<u64>,
    ) -> Answer<Part> {
        if !self.settings.capabilities.part_copy {
            return Err(StoreErrorKind::NotSupported);
        }
        self.pending(upload)?;
        let source = self.copy_source(RequestKind::UploadPartCopy, from, elsewhere, true)?;
        let bytes = source.bytes;
        if range.start >= range.end || range.end > bytes.len() as u64 {
            return Err(refused(416, "InvalidRange"));
        }
        self.upload_part(upload, number, slice(&bytes, range))
    }

    pub fn complete_upload(&mut self, upload: &Upload, parts: &[Part], condition: &Condition) -> Answer<Written> {
        let min_part_bytes = self.settings.min_part_bytes;
        let pending = self.pending(upload)?;
        if parts.is_empty() {
            return Err(refused(400, "MalformedXML"));
        }
        if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(refused(400, "InvalidPartOrder"));
        }
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            match pending.parts.get(&part.number) {
                Some((bytes, etag)) if *etag == part.etag => pieces.push(bytes.clone()),
                _ => return Err(refused(400, "InvalidPart")),
            }
        }
        let (last, before) = pieces.split_last().expect("there is a part");
        if before.iter().any(|piece| (piece.len() as u64) < min_part_bytes) {
            return Err(refused(400, "EntityTooSmall"));
        }
        // Some stores (R2) refuse parts of different lengths, so this one does.
        let equal = before
            .first()
            .is_none_or(|first| before.iter().all(|piece| piece.len() == first.len()) && last.len() <= first.len());
        if !equal {
            return Err(refused(400, "InvalidPart"));
        }
        let (key, headers) = (pending.key.clone(), pending.headers.clone());
        let can = self.settings.capabilities;
        self.admit(
            RequestKind::CompleteUpload,
            &key,
            condition,
            can.complete_absent,
            can.complete_matches,
        )?;
        self.uploads.remove(&upload.id);
        let etag = multipart_etag(pieces.iter());
        let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
        Ok(self.insert(&key, whole.freeze(), etag, headers))
    }

    pub fn abort_upload(&mut self, upload: &Upload) {
        // A strange id counts as gone, like one that was there.
        if self.pending(upload).is_ok() {
            self.uploads.remove(&upload.id);
        }
    }

    pub fn delete(&mut self, kind: RequestKind, key: &ObjectKey, condition: &Condition, honoured: bool) -> Answer<()> {
        let key = self.kept_key(key)?;
        match condition {
            Condition::Always => self.note_unconditional(kind, &key),
            Condition::Absent => return Err(StoreErrorKind::NotSupported),
            Condition::Matches(etag) if honoured => self.check_match(&key, etag)?,
            Condition::Matches(_) => {}
        }
        self.objects.remove(&key);
        Ok(())
    }

    pub fn delete_many(&mut self, keys: &[(ObjectKey, Option<ETag>)]) -> Answer<Vec<Answer<()>>> {
        let can = self.settings.capabilities;
        if !can.delete_many {
            return Err(StoreErrorKind::NotSupported);
        }
        if keys.is_empty() || keys.len() > 1_000 {
            return Err(refused(400, "MalformedXML"));
        }
        let outcomes = keys.iter().map(|(key, etag)| {
            let condition = etag.clone().map_or(Condition::Always, Condition::Matches);
            self.delete(RequestKind::DeleteMany, key, &condition, can.delete_many_matches)
        });
        Ok(outcomes.collect())
    }

    pub fn find(&self, key: &ObjectKey) -> Answer<StoredObject> {
        let key = self.kept_key(key)?;
        let mut object = self.objects.get(&key).cloned().ok_or(StoreErrorKind::NotFound)?;
        object.meta = self.told(object.meta);
        Ok(object)
    }

    pub fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Answer<StoredObject> {
        let mut object = self.find(key)?;
        if let Some(range) = range {
            if range.start >= range.end || range.start >= object.meta.size {
                return Err(refused(416, "InvalidRange"));
            }
            let end = range.end.min(object.meta.size);
            object.bytes = slice(&object.bytes, range.start..end);
        }
        Ok(object)
    }

    pub fn list(&self, prefix: &str, token: Option<&str>, limit: u16) -> Answer<Listing> {
        if !(1..=1_000).contains(&limit) {
            return Err(refused(400, "InvalidArgument"));
        }
        let after = token.map(read_token).transpose()?;
        let rows = self
            .objects
            .range(ObjectKey::new(prefix)..)
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .filter(|(key, _)| after.as_deref().is_none_or(|after| key.as_str() > after));
        let listed = rows.map(|(key, object)| Listed {
            key: key.clone(),
            size: object.meta.size,
            etag: object.meta.etag.clone(),
            last_modified: object.meta.last_modified,
        });
        let (objects, more) = page(listed, limit.min(self.settings.page_limit));
        let next = objects
            .last()
            .filter(|_| more)
            .map(|last| make_token(last.key.as_str()));
        Ok(Listing {
            objects,
            next,
            date: Some(self.now()),
        })
    }

    pub fn list_uploads(&self, prefix: &str, token: Option<&str>) -> Answer<UploadListing> {
        let name = |upload: &Upload| format!("{}\0{}", upload.key.as_str(), upload.id);
        let after = token.map(read_token).transpose()?;
        let rows = self
            .uploads_sorted()
            .into_iter()
            .filter(|upload| upload.key.as_str().starts_with(prefix))
            .filter(|upload| after.as_ref().is_none_or(|after| name(upload) > *after));
        let (uploads, more) = page(rows, self.settings.page_limit);
        let next = uploads.last().filter(|_| more).map(|last| make_token(&name(last)));
        Ok(UploadListing { uploads, next })
    }

    /// What answers tell of an object.
    fn told(&self, mut meta: ObjectMeta) -> ObjectMeta {
        meta.headers.class = None;
        meta.date = Some(self.now());
        meta
    }

    /// The key an object is kept under: its own, or, where odd keys are not kept, what a file system makes of it.
    /// Whether a folder of that name passes for an object; here only as long as there is something in it.
    fn folder_counts(&self, key: &ObjectKey) -> bool {
        let folder = ObjectKey::new(format!("{}/", key.as_str()));
        let mut below = self.objects.range(folder.clone()..);
        let occupied = below
            .next()
            .is_some_and(|(key, _)| key.as_str().starts_with(folder.as_str()));
        !self.settings.capabilities.absent_over_folder && occupied
    }

    /// Compares a checksum that was given with the bytes; one better than the store's best is ignored.
    pub fn verify(&self, checksum: Checksum, given: Option<&str>, body: &[u8]) -> Answer<()> {
        let rank = |checksum| Checksum::BEST_FIRST.iter().position(|one| *one == checksum);
        let known = matches!(
            (rank(self.settings.capabilities.checksum), rank(checksum)),
            (Some(best), Some(this)) if this >= best
        );
        match given {
            Some(given) if known && checksum_base64(checksum, body).as_deref() != Some(given) => {
                Err(StoreErrorKind::BadDigest)
            }
            _ => Ok(()),
        }
    }

    fn kept_key(&self, key: &ObjectKey) -> Answer<ObjectKey> {
        let text = key.as_str();
        if text.is_empty() {
            return Err(refused(400, "InvalidURI"));
        }
        if text.len() > 1_024 {
            return Err(refused(400, "KeyTooLongError"));
        }
        if self.settings.capabilities.odd_keys {
            return Ok(key.clone());
        }
        let kept: Vec<&str> = text
            .split('/')
            .filter(|segment| !matches!(*segment, "" | "." | ".."))
            .collect();
        let end = if text.ends_with('/') { "/" } else { "" };
        Ok(ObjectKey::new(format!("{}{end}", kept.join("/"))))
    }

    fn admit(
        &mut self,
        kind: RequestKind,
        key: &ObjectKey,
        condition: &Condition,
        honours_absent: bool,
        honours_matches: bool,
    ) -> Answer<()> {
        match condition {
            Condition::Always => self.note_unconditional(kind, key),
            Condition::Absent if honours_absent && (self.objects.contains_key(key) || self.folder_counts(key)) => {
                return Err(StoreErrorKind::ConditionFailed);
            }
            Condition::Matches(etag) if honours_matches => self.check_match(key, etag)?,
            Condition::Absent | Condition::Matches(_) => {}
        }
        if !self.settings.capabilities.file_beside_folder && self.stands_in_the_way(key.as_str()) {
            return Err(StoreErrorKind::Conflict);
        }
        Ok(())
    }

    fn check_match(&self, key: &ObjectKey, etag: &ETag) -> Answer<()> {
        match self.objects.get(key) {
            None => Err(self.settings.missing_match.clone()),
            Some(object) if object.meta.etag == *etag => Ok(()),
            Some(_) => Err(StoreErrorKind::ConditionFailed),
        }
    }

    /// Whether a folder of the key is an object, or an object lies in the key as in a folder.
    fn stands_in_the_way(&self, key: &str) -> bool {
        let mut folders = key.match_indices('/').filter(|(at, _)| *at > 0);
        if folders.any(|(at, _)| self.objects.contains_key(&ObjectKey::new(&key[..at]))) {
            return true;
        }
        // `a/` is the folder itself, and may stand beside what lies in it.
        if key.ends_with('/') {
            return false;
        }
        let below = format!("{key}/");
        let mut inside = self.objects.range(ObjectKey::new(below.as_str())..);
        inside
            .next()
            .is_some_and(|(other, _)| other.as_str().starts_with(&below))
    }

    fn note_unconditional(&mut self, kind: RequestKind, key: &ObjectKey) {
        if !(self.settings.allowed)(key) {
            self.violate(kind, key, "written or deleted without a condition");
        }
    }

    fn check_headers(&mut self, kind: RequestKind, key: &ObjectKey, headers: &ObjectHeaders) -> Answer<()> {
        let mark = headers
            .mark
            .as_ref()
            .map_or(0, |mark| Mark::METADATA_KEY.len() + mark.to_string().len());
        let metadata = &headers.metadata;
        let length: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if mark + length > METADATA_LIMIT_BYTES {
            return Err(refused(400, "MetadataTooLarge"));
        }
        if metadata.contains_key(Mark::METADATA_KEY) {
            self.violate(kind, key, "the mark stands among the user's metadata");
        }
        let name_is_bad = |name: &String| {
            name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
        };
        if metadata.keys().any(name_is_bad) {
            self.violate(kind, key, "a name of metadata is not lower-case ASCII");
        }
        if metadata
            .values()
            .any(|value| !value.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        {
            self.violate(kind, key, "a value of metadata is not printable ASCII");
        }
        Ok(())
    }

    fn pending(&mut self, upload: &Upload) -> Answer<&mut PendingUpload> {
        self.uploads
            .get_mut(&upload.id)
            .filter(|pending| pending.key == upload.key)
            .ok_or(StoreErrorKind::NoSuchUpload)
    }

    fn copy_source(
        &mut self,
        kind: RequestKind,
        from: &CopySource,
        elsewhere: Option<Answer<StoredObject>>,
        etag_counts: bool,
    ) -> Answer<StoredObject> {
        let object = elsewhere.unwrap_or_else(|| self.find(&from.key))?;
        let same = from.etag.as_ref().is_none_or(|etag| *etag == object.meta.etag);
        if etag_counts && !same {
            return Err(StoreErrorKind::ConditionFailed);
        }
        if same && object.meta.size != from.size {
            self.violate(
                kind,
                &from.key,
                "the source of a copy is said to have another length than it has",
            );
        }
        Ok(object)
    }
}

fn refused(status: u16, code: &str) -> StoreErrorKind {
    StoreErrorKind::Refused {
        status,
        code: code.to_owned(),
    }
}

fn slice(bytes: &Bytes, range: Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).expect("an object in memory is no longer than memory");
    bytes.slice(at(range.start)..at(range.end))
}

fn page<T>(mut rows: impl Iterator<Item = T>, limit: u16) -> (Vec<T>, bool) {
    let page: Vec<T> = rows.by_ref().take(usize::from(limit)).collect();
    let more = rows.next().is_some();
    (page, more)
}

/// Tokens are opaque, so that nobody makes one of a key.
fn make_token(after: &str) -> String {
    format!("page-{}", hex::encode(after))
}

fn read_token(token: &str) -> Answer<String> {
    token
        .strip_prefix("page-")
        .and_then(|digits| hex::decode(digits).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| refused(400, "InvalidArgument"))
}
