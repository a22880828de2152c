//! What the SDK does not hand out or would do its own way: the store's clock, and the digest of a batch.

use std::sync::{Arc, OnceLock};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::text::http_date;
use crate::store::checksum::checksum_base64;
use crate::store::{Checksum, StoreTime};

/// Keeps the `Date` of the reply to one request.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplyDate(Arc<OnceLock<StoreTime>>);

impl ReplyDate {
    pub(super) fn get(&self) -> Option<StoreTime> {
        self.0.get().copied()
    }
}

#[dyn_dispatch_hint]
impl Intercept for ReplyDate {
    fn name(&self) -> &'static str {
        "ReplyDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date").and_then(http_date) {
            self.0.get_or_init(|| date);
        }
        Ok(())
    }
}

/// Sends `Content-MD5` with a batch of deletes. Every store knows it; the CRC that the SDK would send
/// instead some refuse (aws-sdk-js-v3#6819).
#[derive(Debug)]
pub(super) struct ContentMd5;

#[dyn_dispatch_hint]
impl Intercept for ContentMd5 {
    fn name(&self) -> &'static str {
        "ContentMd5"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let digest = request
            .body()
            .bytes()
            .and_then(|body| checksum_base64(Checksum::Md5, body));
        if let Some(digest) = digest {
            let headers = request.headers_mut();
            headers.remove("x-amz-checksum-crc32");
            headers.remove("x-amz-sdk-checksum-algorithm");
            headers.insert("content-md5", digest);
        }
        Ok(())
    }
}
