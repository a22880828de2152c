//! A headless Chromium that does what a person does, told to over the WebDriver protocol.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::http::Request;
use crate::process::PATIENCE;
use crate::servers::tied_to_this_thread;

/// The name under which WebDriver gives a handle on an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

/// A browser with one window; it ends when this is dropped.
pub struct Browser {
    /// Where the driver listens.
    address: String,
    session: String,
    _driver: Child,
    /// Its home, where it may leave what it likes.
    _home: tempfile::TempDir,
}

/// A program of PATH, which must be there.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join(name).is_file());
    let folder = found.unwrap_or_else(|| panic!("{name} is not on PATH; install it: make deps, as root"));
    folder.join(name)
}

impl Browser {
    /// Starts one, as wide as a laptop's.
    pub async fn start() -> Self {
        let (chromium, chromedriver) = (program("chromium"), program("chromedriver"));
        let home = tempfile::tempdir().unwrap();
        let mut driver = Command::from(tied_to_this_thread(&chromedriver));
        driver
            .arg("--port=0")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut driver = driver.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("chromedriver ended by itself");
        };
        let port = tokio::time::timeout(PATIENCE, port).await.expect("chromedriver hangs");
        // Nobody may close the other end of its output.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut browser = Self {
            address: format!("127.0.0.1:{port}"),
            session: String::new(),
            _driver: driver,
            _home: home,
        };
        let profile = browser._home.path().join("profile");
        let asked = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": chromium,
                "args": [
                    "--headless",
                    // Its sandbox needs rights that neither root nor a user in a container has; the page is ours.
                    "--no-sandbox",
                    // It ends with the driver, however that ends.
                    "--remote-debugging-pipe",
                    "--disable-dev-shm-usage",
                    "--disable-gpu",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--no-first-run",
                    "--no-proxy-server",
                    "--force-device-scale-factor=1",
                    "--lang=en-US",
                    format!("--user-data-dir={}", profile.display()),
                ],
            },
        }}});
        let session = browser.send("POST", "/session", Some(asked)).await;
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser.size(1280, 800).await;
        browser
    }

    /// Asks the driver; a refusal fails the test.
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut request = Request::new(method, path);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let reply = request.send(&self.address).await;
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text());
        reply.json()["value"].take()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        self.send("POST", &path, Some(body)).await
    }

    /// A command of Chromium's own protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters}))
            .await
    }

    pub async fn open(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.post("execute/sync", json!({"script": script, "args": []})).await
    }

    pub async fn truth(&self, expression: &str) -> bool {
        self.value(&format!("!!({expression})")).await == true
    }

    /// The text that a person sees of an element; empty where there is none.
    pub async fn text(&self, selector: &str) -> String {
        let text = self
            .value(&format!("document.querySelector({selector:?})?.innerText"))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.truth(expression).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if waited.await.is_err() {
            panic!("never true: {expression}\n{}", self.text("body").await);
        }
    }

    /// Clicks on what is there and can be seen.
    pub async fn click(&self, selector: &str) {
        let found = self
            .post("element", json!({"using": "css selector", "value": selector}))
            .await;
        let element = found[ELEMENT].as_str().unwrap().to_owned();
        self.post(&format!("element/{element}/click"), json!({})).await;
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let letters = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        });
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": letters.collect::<Vec<_>>()}]});
        self.post("actions", actions).await;
    }

    /// What a screen reader calls the element that has the focus.
    pub async fn focused(&self) -> String {
        let name =
            "((at) => at.getAttribute('aria-label') || at.innerText || at.id || at.tagName)(document.activeElement)";
        self.value(name).await.as_str().unwrap_or_default().to_owned()
    }

    /// Gives the window a size; below 600 it is a phone's.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Has the window like light or dark pages.
    pub async fn prefers(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Keeps a picture of the whole page for people to look at.
    pub async fn picture(&self, name: &str) {
        let parameters = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", parameters).await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let folder = target.join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the page complained of in its console since the last call.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        let severe = entries.filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG");
        severe
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Closes the window, so that nothing writes into its home any more when that is removed.
impl Drop for Browser {
    fn drop(&mut self) {
        let closed = || -> std::io::Result<()> {
            let mut stream = std::net::TcpStream::connect(&self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let head = Request::new("DELETE", &format!("/session/{}", self.session)).head(&self.address);
            stream.write_all(head.as_bytes())?;
            stream.read(&mut [0; 64]).map(drop)
        };
        // Without an answer the end of the driver ends it as well.
        let _gone = closed();
    }
}
