use super::*;

const FILE: &str = "credentials:\n  access_key_id: AKIA1\n  secret_access_key: hunter2\n\
                    server:\n  endpoint_url: http://127.0.0.1:8000\n";

fn args(endpoint: Option<&str>) -> LakeFsArgs {
    LakeFsArgs {
        lakefs_endpoint_url: endpoint.map(|endpoint| endpoint.parse().unwrap()),
        listing: ListingChoice::default(),
    }
}

fn with_world<T>(file: Option<&str>, environment: &[(&str, &str)], work: impl FnOnce(&World) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        std::fs::write(folder.path().join(".lakectl.yaml"), text).unwrap();
    }
    work(&World::sealed(folder.path(), environment))
}

fn read(endpoint: Option<&str>, file: Option<&str>, environment: &[(&str, &str)]) -> Result<LakeFsConfig, String> {
    with_world(file, environment, |world| {
        config(&args(endpoint), world).map_err(|error| error.to_string())
    })
}

#[test]
fn lakectls_file_alone_is_enough_and_a_flag_counts_more() {
    let config = read(None, Some(FILE), &[]).unwrap();
    assert_eq!(config.endpoint.to_string(), "http://127.0.0.1:8000/api/v1");
    assert_eq!(config.keys.access_key_id, "AKIA1");
    assert_eq!(config.keys.secret_access_key, "hunter2");
    assert_eq!(config.retry, LakeFsRetryConfig::default());
    let config = read(Some("https://other"), Some(FILE), &[]).unwrap();
    assert_eq!(config.endpoint.to_string(), "https://other/api/v1");
}

#[test]
fn our_own_variables_count_more_than_lakectls_and_a_key_is_never_half_of_each() {
    let own = [(ACCESS_KEY_ID, "OWN"), (SECRET_ACCESS_KEY, "own-secret")];
    let config = read(None, Some(FILE), &own).unwrap();
    assert_eq!(config.keys.access_key_id, "OWN");
    let error = read(None, Some(FILE), &own[..1]).unwrap_err();
    assert!(
        error.contains("half of an access key") && error.contains(SECRET_ACCESS_KEY),
        "{error}"
    );
    let theirs = [("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "THEIRS")];
    assert_eq!(read(None, Some(FILE), &theirs).unwrap().keys.access_key_id, "THEIRS");
}

#[test]
fn what_is_missing_is_one_line_that_names_the_three_ways() {
    let error = read(None, None, &[]).unwrap_err();
    for way in [
        "--lakefs-endpoint-url",
        "LAKECTL_SERVER_ENDPOINT_URL",
        "~/.lakectl.yaml",
    ] {
        assert!(error.contains(way), "{error}");
    }
    let error = read(Some("http://h"), None, &[]).unwrap_err();
    for way in [
        "LAKESYNC_LAKEFS_SECRET_ACCESS_KEY",
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY",
        "~/.lakectl.yaml",
    ] {
        assert!(error.contains(way), "{error}");
    }
}

#[test]
fn another_kind_of_login_is_named() {
    let file = "server:\n  endpoint_url: http://h\ncredentials:\n  provider:\n    type: aws_iam\n";
    let error = read(None, Some(file), &[]).unwrap_err();
    assert!(
        error.contains(".lakectl.yaml:5: credentials.provider.type is \"aws_iam\""),
        "{error}"
    );
    let own = [(ACCESS_KEY_ID, "OWN"), (SECRET_ACCESS_KEY, "own-secret")];
    read(None, Some(file), &own).unwrap();
}

#[test]
fn lakectls_retries_are_honoured() {
    let file = format!("{FILE}  retries:\n    max_attempts: 9\n    min_wait_interval: 1s500ms\n");
    let retry = read(None, Some(&file), &[]).unwrap().retry;
    assert_eq!(
        (retry.max_attempts, retry.min_wait_interval),
        (9, Duration::from_millis(1_500))
    );
    let off = [("LAKECTL_SERVER_RETRIES_ENABLED", "false")];
    assert_eq!(read(None, Some(&file), &off).unwrap().retry.max_attempts, 1);
    let odd = [("LAKECTL_SERVER_RETRIES_MAX_ATTEMPTS", "many")];
    let error = read(None, Some(&file), &odd).unwrap_err();
    assert_eq!(
        error,
        "LAKECTL_SERVER_RETRIES_MAX_ATTEMPTS: server.retries.max_attempts: \"many\" is not a count"
    );
}

#[test]
fn an_address_that_is_none_is_named_with_its_place_and_no_password() {
    let file = "server:\n  endpoint_url: https://me:hunter2@h\n";
    let error = read(None, Some(file), &[]).unwrap_err();
    assert!(
        error.contains(".lakectl.yaml:2: ") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn config_shows_where_a_key_comes_from_and_not_the_secret() {
    with_world(Some(FILE), &[], |world| {
        let rows = shown(world).unwrap();
        let text: Vec<String> = rows
            .iter()
            .map(|(name, value, origin)| format!("{name} {value:?} {origin}"))
            .collect();
        let text = text.join("\n");
        assert!(text.contains("lakefs-access-key-id Some(\"AKIA1\")"), "{text}");
        assert!(
            text.contains("lakefs-secret-access-key Some(\"***\")") && !text.contains("hunter2"),
            "{text}"
        );
        assert!(text.contains(".lakectl.yaml:3"), "{text}");
    });
}
