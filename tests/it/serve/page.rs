//! The page, in a browser, as a person uses it.

mod looks;

use serde_json::{Value, json};

use super::Serving;
use super::browser::{Browser, ENTER, TAB};
use crate::git_source::repository::Repository;
use crate::process::Room;
use crate::servers;

/// Opens the page and waits until it is live.
async fn opened(serving: &Serving) -> Browser {
    let browser = Browser::start().await;
    browser.open(&format!("http://{}/", serving.address)).await;
    browser
        .until("document.getElementById('connection').innerText === 'Live'")
        .await;
    browser
}

/// The state of an export, as its card says it.
fn state(name: &str) -> String {
    format!("document.querySelector('[data-export={name:?}] .state')?.innerText")
}

async fn until_state(browser: &Browser, name: &str, words: &str) {
    browser.until(&format!("{} === {words:?}", state(name))).await;
}

/// A server whose exports take some seconds, and a commit to export.
async fn slow() -> (Serving, String) {
    let serving = Serving::start(&["--bandwidth", "100KiB"]).await;
    for number in 0..40 {
        serving
            .repository
            .write(format!("{number}"), format!("{number} ").repeat(4 << 10));
    }
    let commit = serving.repository.commit("slow");
    (serving, commit.as_str().to_owned())
}

/// A server with the export `x` of one commit, which is out, and its page.
async fn up_to_date() -> (Serving, Browser) {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    serving.create("x", "out").await;
    serving.until_out("x", first.as_str()).await;
    let browser = opened(&serving).await;
    until_state(&browser, "x", "up to date").await;
    (serving, browser)
}

/// Creates an export of the repository that does not run yet.
async fn create_stopped(serving: &Serving, name: &str, path: &str) {
    let mut request = serving.request(name, path);
    request["enabled"] = json!(false);
    let reply = serving.post("/api/v1/exports", Some(&request)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
}

#[tokio::test]
async fn an_export_is_started_watched_stopped_and_run_on_the_page() {
    let (serving, commit) = slow().await;
    let browser = opened(&serving).await;
    assert!(browser.text("#none").await.contains("lakesync repo export"));
    // A page that was loaded anew would not know this any more.
    browser.value("window.first = true").await;
    create_stopped(&serving, "slow", "out").await;
    until_state(&browser, "slow", "stopped").await;
    browser.click("button[aria-label='Start slow']").await;
    until_state(&browser, "slow", "exporting").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        browser.until("document.querySelector('progress')?.value > 0").await;
        let value = browser.value("document.querySelector('progress').value").await;
        if seen.last() != Some(&value) {
            seen.push(value);
        }
    }
    let seen: Vec<f64> = seen.iter().filter_map(Value::as_f64).collect();
    assert!(seen.is_sorted() && seen.len() == 3, "{seen:?}");
    browser
        .until("document.querySelector('.done').innerText.includes('/s')")
        .await;
    let done = browser.text(".done").await;
    assert!(
        done.starts_with("Sending · ") && done.contains(" of 40 objects"),
        "{done}"
    );
    browser.picture("desktop-running").await;
    browser.click("button[aria-label='Stop slow']").await;
    until_state(&browser, "slow", "stopped").await;
    assert_eq!(serving.export("slow").await["enabled"], false);
    browser.click("button[aria-label='Start slow']").await;
    until_state(&browser, "slow", "up to date").await;
    let facts = browser.text(".facts").await;
    assert!(facts.contains(&commit[..12]) && facts.contains("not at all"), "{facts}");
    assert!(facts.contains("exported "), "{facts}");
    browser.click("button[aria-label='Run now slow']").await;
    browser.click("a[href='#slow']").await;
    browser
        .until("document.getElementById('log').innerText.includes('told to look now')")
        .await;
    assert!(browser.truth("window.first").await, "the page was loaded anew");
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// Whatever a branch, a path, a key or an error is called: it is shown, and nothing of it runs.
#[tokio::test]
async fn what_looks_like_markup_is_shown_and_does_not_run() {
    const HOSTILE: &str = "<script>window.pwned=1</script>";
    let serving = Serving::start(&[]).await;
    let key = "<img src=x onerror=window.pwned=1>.txt";
    serving.repository.write(key, "1");
    serving.repository.commit("first");
    serving.repository.git(&["checkout", "--quiet", "-b", HOSTILE]);
    let first = serving.repository.commit("odd");
    let path = format!("{HOSTILE}<svg onload=window.pwned=1>");
    let mut request = serving.request("odd", &path);
    request["options"]["branch"] = json!(HOSTILE);
    let reply = serving.post("/api/v1/exports", Some(&request)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    serving.until_out("odd", first.as_str()).await;
    let hook = format!(
        "{}before-export = \"echo '{HOSTILE}'; exit 1\"\n",
        serving.definition("failing")
    );
    serving.define("failing", &hook);
    let browser = opened(&serving).await;
    until_state(&browser, "odd", "up to date").await;
    until_state(&browser, "failing", "failed, will try again").await;
    let cards = browser.text("#cards").await;
    assert!(
        cards.contains(&format!("· {HOSTILE}")) && cards.contains(&path),
        "{cards}"
    );
    assert!(cards.contains(&format!("failed with 1: {HOSTILE}")), "{cards}");
    browser.click("a[href='#odd']").await;
    browser.until("document.querySelectorAll('#runs tr').length > 0").await;
    browser.click("#more").await;
    browser
        .until("document.querySelectorAll('#objects tr').length > 0")
        .await;
    assert!(browser.text("#objects").await.contains(key));
    assert!(browser.text("#options").await.contains(HOSTILE));
    // The name in the address may be anything as well.
    browser.value(&format!("location.hash = {HOSTILE:?}")).await;
    browser.until("!document.getElementById('list').hidden").await;
    browser.value("location.hash = 'failing'").await;
    browser.until("document.querySelectorAll('#log li').length > 1").await;
    assert!(
        browser
            .text("#log")
            .await
            .contains(&format!("before-export said: {HOSTILE}"))
    );
    assert_eq!(browser.value("window.pwned").await, Value::Null);
    let elements = "[document.scripts.length, document.images.length, document.querySelectorAll('svg[onload]').length]";
    assert_eq!(browser.value(elements).await, json!([1, 0, 0]));
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn the_page_of_an_export_shows_its_runs_its_log_and_what_went_wrong() {
    let serving = Serving::start(&[]).await;
    serving.repository.write("a", "1");
    let first = serving.repository.commit("first");
    let gate = serving.room.folder().join("open");
    let text = format!(
        "{}before-export = \"test -e {} || {{ echo the gate is closed; exit 3; }}\"\n",
        serving.definition("out"),
        gate.display()
    );
    serving.define("gated", &text);
    let browser = opened(&serving).await;
    until_state(&browser, "gated", "failed, will try again").await;
    browser.click("a[href='#gated']").await;
    assert_eq!(browser.focused().await, "gated", "a screen reader begins at the title");
    assert_eq!(browser.value("document.title").await, "(1) gated – lakesync");
    let card = browser.text("#detail-card").await;
    assert!(card.contains("failed with 3: the gate is closed"), "{card}");
    assert!(card.contains("since 20") && card.contains("Next try"), "{card}");
    browser
        .until("document.querySelectorAll('#log li.error').length > 0")
        .await;
    let log = browser.text("#log").await;
    assert!(log.contains("before-export said: the gate is closed"), "{log}");
    browser.picture("desktop-failed").await;
    std::fs::write(&gate, "").unwrap();
    browser.click("#detail button[aria-label='Run now gated']").await;
    serving.until_out("gated", first.as_str()).await;
    for number in 0..6 {
        for file in 0..=number {
            serving.repository.write(
                format!("f/{file}"),
                format!("{file} of {number} ").repeat(100 * number + 1),
            );
        }
        let commit = serving.repository.commit("more");
        serving.until_out("gated", commit.as_str()).await;
    }
    // Runs that failed have rows, too, so it is the newest one that tells that all have arrived.
    browser
        .until("document.querySelector('#runs tr:first-child td[data-label=\"Sent\"]')?.innerText.trim() === '6'")
        .await;
    browser
        .until("document.querySelector('#log').innerText.includes('6 sent (')")
        .await;
    browser
        .until("document.querySelector('#log li').innerText.includes(' is out after ')")
        .await;
    assert!(
        browser.truth("document.querySelector('#detail .trouble').hidden").await,
        "what went wrong is over"
    );
    let newest: Vec<String> = ["Result", "Sent", "Failed"]
        .map(|label| format!("#runs tr:first-child td[data-label={label:?}]"))
        .to_vec();
    let mut row = Vec::new();
    for selector in &newest {
        row.push(browser.text(selector).await);
    }
    assert_eq!(row, ["exported", "6", "0"]);
    assert!(browser.text("#runs").await.contains("the gate is closed"));
    let log = browser.text("#log").await;
    for words in [
        " begins, for ",
        "to do: 6 to send",
        "6 sent (",
        "before-export succeeded",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    let charts = browser
        .value("[...document.querySelectorAll('#detail .chart')].map((chart) => chart.getAttribute('aria-label'))");
    let charts = charts.await;
    for (chart, title) in charts
        .as_array()
        .unwrap()
        .iter()
        .zip(["Time of", "Objects of", "Bytes of"])
    {
        let words = chart.as_str().unwrap();
        assert!(
            words.starts_with(title) && words.ends_with("; the newest was exported"),
            "{words}"
        );
    }
    assert!(browser.text("#options").await.contains("export-path"));
    browser.click("#more").await;
    browser
        .until("document.querySelectorAll('#objects tr').length === 7")
        .await;
    browser.picture("desktop-detail").await;
    // Back at the list, one is where one was.
    browser.click("nav a").await;
    browser.until("!document.getElementById('list').hidden").await;
    assert_eq!(browser.focused().await, "gated");
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn after_the_server_was_away_the_page_goes_on_by_itself() {
    let (serving, browser) = up_to_date().await;
    browser.value("window.first = true").await;
    let address = serving.address.clone();
    let Serving {
        room,
        repository,
        mut child,
        ..
    } = serving;
    child.kill().await.unwrap();
    browser
        .until("document.getElementById('connection').innerText.startsWith('Not connected since ')")
        .await;
    assert!(browser.truth("document.body.classList.contains('stale')").await);
    browser.click("button[aria-label='Stop x']").await;
    browser.until("!document.getElementById('problem').hidden").await;
    assert_eq!(browser.text("#problem").await, "x: the server cannot be reached");
    browser.picture("desktop-not-connected").await;
    let serving = Serving::start_in(room, repository, &["--listen", &address]).await;
    browser
        .until("document.getElementById('connection').innerText === 'Live'")
        .await;
    serving.repository.write("a", "2");
    let second = serving.repository.commit("second");
    let short = &second.as_str()[..12];
    browser
        .until(&format!(
            "document.querySelector('.facts').innerText.split({short:?}).length === 3"
        ))
        .await;
    assert!(
        browser
            .truth("window.first && document.getElementById('problem').hidden")
            .await
    );
    assert!(!browser.truth("document.body.classList.contains('stale')").await);
}

#[tokio::test]
async fn every_action_is_reached_and_done_with_the_keyboard() {
    let (serving, browser) = up_to_date().await;
    let mut met = Vec::new();
    for _ in 0..6 {
        browser.press(TAB).await;
        met.push(browser.focused().await);
        let outline = browser
            .value("getComputedStyle(document.activeElement).outlineStyle")
            .await;
        assert_ne!(
            outline,
            "none",
            "nobody sees where the focus is at {}",
            met.last().unwrap()
        );
    }
    let expected = ["Skip to the exports", "lakesync", "search", "x", "Stop x", "Run now x"];
    assert_eq!(met, expected);
    browser.click("h1").await;
    while browser.focused().await != "Stop x" {
        browser.press(TAB).await;
    }
    browser.press(ENTER).await;
    until_state(&browser, "x", "stopped").await;
    // What takes its place has the focus, and what was done is said.
    assert_eq!(browser.focused().await, "Start x");
    browser
        .until("document.getElementById('said').textContent === 'Stopped x'")
        .await;
    browser.press(TAB).await;
    assert_eq!(browser.focused().await, "Run now x");
    browser.press(ENTER).await;
    assert_eq!(
        browser
            .value("document.activeElement.getAttribute('aria-disabled')")
            .await,
        "true"
    );
    let log = serving.get("/api/v1/exports/x/log").await.text();
    assert!(!log.contains("told to look now"), "{log}");
    browser.value("document.querySelector('#search').focus()").await;
    browser.press("nothing like it").await;
    browser.until("!document.getElementById('no-match').hidden").await;
    assert!(browser.truth("document.querySelector('#cards li').hidden").await);
}

#[tokio::test]
async fn with_a_token_the_page_asks_for_it_and_keeps_it_in_its_tab() {
    const TOKEN: &str = "a-token-that-nobody-guesses";
    let room = Room::new(servers::seaweedfs()).await;
    std::fs::create_dir_all(room.folder().join("exports")).unwrap();
    std::fs::write(room.folder().join("token"), format!("{TOKEN}\n")).unwrap();
    let serving = Serving::start_in(room, Repository::new(), &["--token-file", "token"]).await;
    serving.repository.write("a", "1");
    serving.repository.commit("first");
    serving.define("x", &serving.definition("out"));
    let browser = Browser::start().await;
    browser.open(&format!("http://{}/", serving.address)).await;
    browser.until("!document.getElementById('token-form').hidden").await;
    assert_eq!(browser.focused().await, "token");
    browser.press("wrong").await;
    browser.press(ENTER).await;
    browser
        .until("document.getElementById('connection').innerText === 'Waiting for the token'")
        .await;
    browser.until("!document.getElementById('token-form').hidden").await;
    assert!(browser.text("#cards").await.is_empty());
    browser.value("document.getElementById('token').focus()").await;
    browser.press(TOKEN).await;
    browser.press(ENTER).await;
    until_state(&browser, "x", "up to date").await;
    browser.value("location.reload()").await;
    until_state(&browser, "x", "up to date").await;
    let kept = browser.value("[localStorage.length, document.cookie]").await;
    assert_eq!(kept, json!([0, ""]), "nothing outlives the tab");
}
