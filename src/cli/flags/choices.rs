//! Flags that choose one word of a few. The words of the library have no clap on them, so these stand for them.

use clap::ValueEnum;

/// Writes an enum whose first word is the default.
macro_rules! choices {
    ($(#[doc = $about:literal])* $name:ident { $first:ident = $first_word:literal $first_doc:literal
        $(, $word:ident = $text:literal $doc:literal)* $(,)? }) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
        pub enum $name {
            #[doc = $first_doc]
            #[default]
            #[value(name = $first_word)]
            $first,
            $(
                #[doc = $doc]
                #[value(name = $text)]
                $word,
            )*
        }
    };
}

choices!(
    /// `--symlinks`
    SymlinkChoice {
        Skip = "skip" "Leave them out, and count them",
        FollowInside = "follow-inside" "Export what they lead to, where that lies inside the tree",
        Error = "error" "Refuse the tree",
    }
);

choices!(
    /// `--submodules` and `--special`
    SkipOrError {
        Skip = "skip" "Leave them out, and count them",
        Error = "error" "Refuse the tree",
    }
);

choices!(
    /// `--lfs`
    LfsChoice {
        Pointer = "pointer" "Export the pointer file as it is, and count it",
        Error = "error" "Refuse the tree",
    }
);

choices!(
    /// `--listing`
    ListingChoice {
        Auto = "auto" "By ranges where the server lets us, else by pages",
        Ranges = "ranges" "From the files in which lakeFS keeps a commit, only those that changed",
        Pages = "pages" "From the listings and differences that its API gives",
    }
);

choices!(
    /// `--transfer`
    TransferChoice {
        Auto = "auto" "Have the store copy what it can, and send the rest",
        Copy = "copy" "Have the store copy all of it, or fail",
        Stream = "stream" "Read and send all of it",
    }
);

choices!(
    /// `--addressing`
    Addressing {
        Auto = "auto" "In the host name at AWS, in the path elsewhere",
        Path = "path" "https://host/bucket/key",
        Virtual = "virtual" "https://bucket.host/key",
    }
);

choices!(
    /// `--checksum`
    ChecksumChoice {
        Auto = "auto" "The best that the store verifies",
        Crc64Nvme = "crc64nvme" "CRC-64/NVME",
        Crc32c = "crc32c" "CRC-32C",
        Crc32 = "crc32" "CRC-32",
        Sha256 = "sha256" "SHA-256",
        Md5 = "md5" "Content-MD5, which nearly every store knows",
        None = "none" "None",
    }
);

choices!(
    /// `--odd-keys`
    OddKeysChoice {
        Error = "error" "Refuse the tree, naming them",
        Skip = "skip" "Leave them out, and count them",
        Send = "send" "Send them where the store is known to keep them",
    }
);

choices!(
    /// `--lease`
    LeaseChoice {
        Auto = "auto" "Go on, and say in summary and status what does not hold",
        Required = "required" "Refuse such a store",
    }
);

choices!(
    /// `--status-records`
    RecordsChoice {
        All = "all" "All objects of the commit",
        Changed = "changed" "Only those that the run wrote",
    }
);

choices!(
    /// `verify --level`
    VerifyLevel {
        List = "list" "Compare keys, sizes and etags of a listing with the status file",
        Head = "head" "Ask for each object singly, too",
        Bytes = "bytes" "Read every object and hash it",
    }
);

/// `--preserve`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preserve {
    /// The permission bits
    #[value(name = "mode")]
    Mode,
    /// When it was last changed
    #[value(name = "mtime")]
    Mtime,
}
