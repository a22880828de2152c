//! How each server is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The access key of both servers; it opens nothing but a server on loopback that dies with the test.
pub const ACCESS_KEY: &str = "AKIATESTTESTTESTTEST";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret-test-secret-test-secret-test";
/// What both servers call their region when nobody says another.
pub const REGION: &str = "us-east-1";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// `weed server`, all parts in one process.
    SeaweedFs,
    /// The same once more, for what lies on another store.
    SeaweedApart,
    /// `versitygw posix`.
    VersityGw,
}

impl Recipe {
    /// Its name, for messages and folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::SeaweedFs => "seaweedfs",
            Self::SeaweedApart => "seaweedfs-apart",
            Self::VersityGw => "versitygw",
        }
    }

    /// How many ports it takes; SeaweedFS also takes each plus 10,000.
    pub fn port_count(self) -> usize {
        match self {
            Self::SeaweedFs | Self::SeaweedApart => 4,
            Self::VersityGw => 1,
        }
    }

    /// The program, which must be there.
    pub fn program(self) -> Result<PathBuf, String> {
        installed(match self {
            Self::SeaweedFs | Self::SeaweedApart => "venv/bin/weed",
            Self::VersityGw => "bin/versitygw",
        })
    }

    /// The arguments, with all its files below `folder`; the first port is the one that speaks S3.
    pub fn arguments(self, folder: &Path, ports: &[u16]) -> std::io::Result<Vec<String>> {
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        let data = data.display();
        let line = match self {
            Self::SeaweedFs | Self::SeaweedApart => {
                let config = folder.join("s3.json");
                fs::write(&config, identities())?;
                let [s3, master, volume, filer] = *ports else {
                    unreachable!("port_count says 4")
                };
                let config = config.display();
                // It reads this from the current folder: one volume for a new bucket instead of seven.
                fs::write(folder.join("master.toml"), "[master.volume_growth]\ncopy_1 = 1\n")?;
                // Small volumes, since each bucket takes its own; no feature that would call out or open more ports. A share
                // of the disk as the limit would end all writes on a large disk with room enough.
                format!(
                    "server\n-dir={data}\n-ip=127.0.0.1\n-ip.bind=127.0.0.1\n-master.port={master}\n-volume.port={volume}\n\
                     -filer\n-filer.port={filer}\n-s3\n-s3.port={s3}\n-s3.config={config}\n-s3.port.iceberg=0\n\
                     -s3.port.lance=0\n-master.telemetry=false\n-master.volumeSizeLimitMB=64\n-volume.max=100000\n\
                     -volume.minFreeSpace=64MiB\n-metricsPort=0"
                )
            }
            Self::VersityGw => {
                let s3 = ports[0];
                format!(
                    "--access\n{ACCESS_KEY}\n--secret\n{SECRET_KEY}\n--region\n{REGION}\n--port\n127.0.0.1:{s3}\n\
                     --keep-alive\n--quiet\nposix\n{data}"
                )
            }
        };
        Ok(line.lines().map(str::to_owned).collect())
    }
}

/// A program that tools/servers.sh installs, which must be there.
pub fn installed(program: &str) -> Result<PathBuf, String> {
    let home = std::env::var_os("LAKESYNC_TEST_SERVERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".servers"), PathBuf::from);
    let program = home.join(program);
    if program.is_file() {
        return Ok(program);
    }
    Err(format!(
        "{} is not installed; run tools/servers.sh, or set LAKESYNC_TEST_SERVERS",
        program.display()
    ))
}

fn identities() -> String {
    serde_json::json!({"identities": [{
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }]})
    .to_string()
}

/// A program that the kernel kills as soon as the thread that started it is gone.
pub fn tied_to_this_thread(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
