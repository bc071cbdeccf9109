//! A change of a file: it is replaced whole, so that whoever reads it meanwhile has the old one or
//! the new one, and by one process at a time.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

/// Whoever owns the file may read and write it, nobody else.
const PRIVATE: u32 = 0o600;

/// The right to replace a file, from before it is read. Nobody else has it until this is dropped.
#[derive(Debug)]
pub(super) struct Change {
    file: PathBuf,
    /// The next file, whose name only one process can create.
    beside: PathBuf,
    out: File,
    /// The name is free again, or another process's.
    is_renamed: bool,
}

impl Change {
    /// Begins to change a file, which need not exist.
    pub(super) fn begin(file: &Path) -> anyhow::Result<Self> {
        // A link keeps leading to the file.
        let file = match fs::canonicalize(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_symlink() => {
                Ok(file.to_owned())
            }
            resolved => resolved,
        }
        .with_context(|| format!("cannot find {}", file.display()))?;
        let mut beside = OsString::from(&file);
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(PRIVATE);
        match options.open(&beside) {
            Ok(out) => Ok(Self {
                file,
                beside,
                out,
                is_renamed: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(anyhow!(
                "somebody else is changing {}: try again, or remove {} if nobody is",
                file.display(),
                beside.display()
            )),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", beside.display())),
        }
    }

    /// Puts this in the place of the file. Who could read the old one can read the new one.
    pub(super) fn finish(mut self, text: &str) -> anyhow::Result<()> {
        let written = self.write(text);
        written.with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        self.out.write_all(text.as_bytes())?;
        match fs::metadata(&self.file) {
            Ok(before) => self.belong_like(&before)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        self.out.sync_all()?;
        fs::rename(&self.beside, &self.file)?;
        self.is_renamed = true;
        Ok(())
    }

    fn belong_like(&self, before: &fs::Metadata) -> anyhow::Result<()> {
        let now = self.out.metadata()?;
        if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
            let kept = fchown(&self.out, Some(before.uid()), Some(before.gid()));
            kept.context("its owner and group cannot be kept")?;
        }
        let mode = before.permissions().mode() & 0o777;
        self.out.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(())
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.beside);
        }
    }
}
