use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::provider::{ProvideCredentials, future};

use super::*;

/// A chain whose n-th answer is the n-th of a list.
#[derive(Debug, Clone)]
struct Listed {
    answers: Arc<Vec<Option<Credentials>>>,
    asked: Arc<AtomicUsize>,
}

impl ProvideCredentials for Listed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let at = self.asked.fetch_add(1, Ordering::Relaxed);
            // Others come meanwhile.
            tokio::task::yield_now().await;
            let answer = self.answers.get(at).cloned().flatten();
            answer.ok_or_else(|| CredentialsError::provider_error("the chain is broken"))
        })
    }
}

fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn after(minutes: u64) -> SystemTime {
    begin() + Duration::from_secs(60 * minutes)
}

/// Credentials whose token says which they are.
fn token(name: &str, ends: Option<SystemTime>) -> Option<Credentials> {
    Some(Credentials::new("id", "secret", Some(name.to_owned()), ends, "test"))
}

fn cached(answers: Vec<Option<Credentials>>) -> (CachedCredentials, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let listed = Listed {
        answers: Arc::new(answers),
        asked: Arc::clone(&asked),
    };
    (CachedCredentials::new(SharedCredentialsProvider::new(listed)), asked)
}

async fn token_at(cached: &CachedCredentials, now: SystemTime) -> String {
    cached.get_at(now).await.unwrap().session_token.clone().unwrap()
}

#[tokio::test]
async fn requests_that_need_them_at_once_ask_the_chain_once() {
    let (cached, asked) = cached(vec![token("a", None)]);
    let all = futures::future::join_all((0..50).map(|_| token_at(&cached, begin()))).await;
    assert!(all.iter().all(|token| token == "a"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(token_at(&cached, after(60 * 24 * 365)).await, "a", "they have no end");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn they_are_renewed_minutes_before_their_end_by_one_while_the_others_go_on() {
    let (cached, asked) = cached(vec![token("a", Some(after(60))), token("b", Some(after(120)))]);
    assert_eq!(token_at(&cached, begin()).await, "a");
    assert_eq!(token_at(&cached, after(54)).await, "a");
    let all = futures::future::join_all((0..50).map(|_| token_at(&cached, after(56)))).await;
    assert_eq!(all.iter().filter(|token| *token == "b").count(), 1, "{all:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(token_at(&cached, after(56)).await, "b");
}

#[tokio::test]
async fn a_renewal_that_fails_matters_only_once_the_old_ones_have_ended() {
    let (cached, asked) = cached(vec![
        token("a", Some(after(60))),
        None,
        None,
        token("c", Some(after(120))),
    ]);
    assert_eq!(token_at(&cached, begin()).await, "a");
    for _ in 0..10 {
        assert_eq!(token_at(&cached, after(57)).await, "a");
    }
    assert_eq!(
        asked.load(Ordering::Relaxed),
        2,
        "a broken chain is left alone for a while"
    );
    let error = cached.get_at(after(60)).await.unwrap_err();
    assert!(crate::causes::with_causes(&*error).contains("the chain is broken"));
    assert_eq!(token_at(&cached, after(60)).await, "c");
}

#[tokio::test]
async fn those_that_a_store_refused_are_looked_up_again_but_not_again_and_again() {
    let (cached, asked) = cached(vec![token("a", None), token("b", None), token("c", None)]);
    let first = cached.get_at(begin()).await.unwrap();
    cached.doubt(&first);
    assert_eq!(token_at(&cached, begin()).await, "b");
    // Other requests were under way with the old ones.
    cached.doubt(&first);
    assert_eq!(token_at(&cached, begin()).await, "b");
    let second = cached.get_at(begin()).await.unwrap();
    cached.doubt(&second);
    assert_eq!(token_at(&cached, begin()).await, "b", "they are new, and it was no use");
    assert_eq!(token_at(&cached, after(1)).await, "c");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_says_nothing_is_given_up() {
    #[derive(Debug)]
    struct Silent;

    impl ProvideCredentials for Silent {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    let cached = CachedCredentials::new(SharedCredentialsProvider::new(Silent));
    let error = cached.get().await.unwrap_err();
    assert!(matches!(*error, CredentialsError::ProviderTimedOut(_)), "{error:?}");
}
