//! Files that must not be there yet, written together.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Who may read a file.
#[derive(Clone, Copy)]
enum Readers {
    Everybody,
    Owner,
}

/// What is to be written into a folder.
pub(crate) struct NewFiles {
    dir: PathBuf,
    files: Vec<(PathBuf, String, Readers)>,
}

impl NewFiles {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            files: Vec::new(),
        }
    }

    /// A file that everybody may read.
    pub(crate) fn public(&mut self, name: &str, text: String) {
        let path = self.dir.join(name);
        self.files.push((path, text, Readers::Everybody));
    }

    /// A file that its owner alone may read, from the moment it is there.
    pub(crate) fn secret(&mut self, name: &str, text: String) {
        let path = self.dir.join(name);
        self.files.push((path, text, Readers::Owner));
    }

    /// Writes all of them or none; nothing that is there is touched. A folder that is made is its
    /// owner's alone.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let there = self.files.iter().find(|(path, ..)| path.exists());
        if let Some((path, ..)) = there {
            bail!(
                "{} is there already, and nothing is overwritten",
                path.display()
            );
        }
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir);
        made.with_context(|| format!("cannot make {}", self.dir.display()))?;
        for (number, (path, text, readers)) in self.files.iter().enumerate() {
            if let Err(error) = create(path, text, *readers) {
                for (path, ..) in self.files.iter().take(number) {
                    let _ = fs::remove_file(path);
                }
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
        }
        Ok(())
    }

    /// The paths of all of them.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, ..)| path.as_path())
    }
}

fn create(path: &Path, text: &str, readers: Readers) -> io::Result<()> {
    let mode = match readers {
        Readers::Everybody => 0o644,
        Readers::Owner => 0o600,
    };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}
