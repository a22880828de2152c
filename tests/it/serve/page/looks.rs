//! How the page looks: on a desk, on a phone, by day and by night. Pictures of it are kept for people.

use serde_json::json;

use super::{opened, until_state};
use crate::serve::Serving;

/// Exports in every shape: long names, long paths, long errors, and one of each common state.
async fn crowded() -> Serving {
    let serving = Serving::start(&["--bandwidth", "64KiB"]).await;
    for number in 0..160 {
        serving
            .repository
            .write(format!("{number}"), format!("{number} ").repeat(4 << 10));
    }
    serving.repository.commit("first");
    let folder = serving.room.folder().join("small");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a"), "1").unwrap();
    let small = |path: &str| {
        format!(
            "source = \"dir:{}\"\nexport-path = \"{}\"\n",
            folder.display(),
            serving.export_path(path)
        )
    };
    serving.define("small", &small("small"));
    serving.define("off", &format!("{}enabled = false\n", small("off")));
    serving.define("slow", &serving.definition("slow"));
    serving.define(
        &"long-name-".repeat(9),
        &small(&"a-very-long-path-without-any-space".repeat(8)),
    );
    serving.define(
        "refused",
        &format!(
            "{}before-export = \"echo {}; exit 1\"\n",
            small("refused"),
            "nobreak".repeat(40)
        ),
    );
    serving.define("slip", &format!("{}export-pth = \"x\"\n", small("slip")));
    serving
}

#[tokio::test]
async fn nothing_sticks_out_on_a_phone_and_all_text_can_be_read_by_day_and_by_night() {
    let serving = crowded().await;
    let browser = opened(&serving).await;
    for (name, words) in [
        ("slow", "exporting"),
        ("small", "up to date"),
        ("off", "stopped"),
        ("refused", "failed, will try again"),
        ("slip", "broken"),
    ] {
        until_state(&browser, name, words).await;
    }
    browser
        .until("document.querySelector('[data-export=slow] progress').value > 0")
        .await;
    let first = browser.text("#cards li:first-child h3").await;
    assert!(
        ["refused", "slip"].contains(&first.as_str()),
        "who needs a person comes first, not {first}"
    );
    assert!(browser.text("#counts").await.contains("1 broken"));
    browser.picture("desktop").await;
    for scheme in ["light", "dark"] {
        browser.prefers(scheme).await;
        for (width, height) in [(1280, 800), (390, 844), (320, 568)] {
            browser.size(width, height).await;
            for place in ["", "refused", "slow"] {
                browser.value(&format!("location.hash = {place:?}")).await;
                browser
                    .until(&format!(
                        "document.getElementById('list').hidden === {}",
                        !place.is_empty()
                    ))
                    .await;
                if place == "refused" {
                    browser.until("document.querySelectorAll('#runs tr').length && document.querySelectorAll('#log li').length").await;
                }
                let wide = browser.value("document.documentElement.scrollWidth").await;
                assert!(
                    wide.as_u64().unwrap() <= u64::from(width),
                    "{place:?} is {wide} wide at {width}"
                );
                let faint = browser.value(FAINT_TEXT).await;
                assert_eq!(faint, json!([]), "{scheme}, {place:?}");
                if width != 320 {
                    let device = if width == 390 { "phone" } else { "desktop" };
                    let place = if place.is_empty() { "list" } else { place };
                    browser.picture(&format!("{device}-{scheme}-{place}")).await;
                }
            }
        }
        let ground = browser.value("getComputedStyle(document.body).backgroundColor").await;
        assert_eq!(ground == "rgb(13, 17, 23)", scheme == "dark", "{ground}");
    }
    let small =
        "[...document.querySelectorAll('button')].filter((one) => one.offsetHeight && one.offsetHeight < 44).length";
    assert_eq!(browser.value(small).await, 0, "fingers need 44 pixels");
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// Texts with less contrast than 4.5 to 1 (WCAG 2, AA) to what is behind them.
const FAINT_TEXT: &str = r"(() => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const part = (value) => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const seen = walker.currentNode.data.trim() && node.checkVisibility() && !node.closest('[aria-disabled=true],script,style');
    if (!seen) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(node.innerText.slice(0, 40) + ': ' + ratio.toFixed(2));
  }
  return found;
})()";
