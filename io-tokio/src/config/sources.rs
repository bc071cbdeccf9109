//! The files that a configuration was read from, and whether they are still the same.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What the file system says of a file, behind all symbolic links.
///
/// A file that is written to has another time, and one that is put in its place is another one:
/// Kubernetes replaces a mounted secret by a link to another folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// In seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Files, each as it was when it was read. One that could not be opened is among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Option<Stamp>>);

impl Sources {
    /// Reads a file of so many bytes at most, and remembers it.
    ///
    /// # Errors
    /// It cannot be read, or is longer.
    pub(super) fn read(&mut self, file: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let path = PathBuf::from(file);
        let opened = File::open(&path).and_then(|opened| Ok((opened.metadata()?, opened)));
        let stamp = opened
            .as_ref()
            .ok()
            .map(|(metadata, _)| Stamp::of(metadata));
        self.0.insert(path, stamp);
        let (_, opened) = opened?;
        let mut bytes = Vec::new();
        opened.take(bytes_max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            let why = format!("larger than {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        Ok(bytes)
    }

    /// The same files as they are now.
    #[must_use]
    pub fn as_they_are(&self) -> Self {
        let stamp = |path: &Path| path.metadata().ok().map(|it| Stamp::of(&it));
        let now = self.0.keys().map(|path| (path.clone(), stamp(path)));
        Self(now.collect())
    }

    /// These files and others. Of a file that is among both, the others say how it was.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = format!("doorkeeper-sources-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_is_written_to_or_removed_is_another_one() {
        let folder = Folder::new("written");
        let file = folder.file("key.pem");
        let mut sources = Sources::default();
        assert!(sources.read(&file, 9).is_err());
        assert_eq!(sources.as_they_are(), sources, "it is not there");
        fs::write(&file, "one").unwrap();
        assert_ne!(sources.as_they_are(), sources);
        assert_eq!(sources.read(&file, 9).unwrap(), b"one");
        assert_eq!(sources.as_they_are(), sources);
        fs::write(&file, "other").unwrap();
        assert_ne!(sources.as_they_are(), sources);
        assert!(sources.read(&file, 4).is_err(), "too long");
        fs::remove_file(&file).unwrap();
        assert_ne!(sources.as_they_are(), sources);
    }

    /// As a mounted secret of Kubernetes: the file is a link into `..data`, which is a link to a
    /// folder, and another link is renamed over it.
    #[test]
    fn a_link_to_another_folder_with_the_same_content_is_another_file() {
        let folder = Folder::new("links");
        for name in ["first", "second"] {
            fs::create_dir_all(folder.0.join(name)).unwrap();
            fs::write(folder.0.join(name).join("tls.key"), "same").unwrap();
        }
        symlink("first", folder.0.join("..data")).unwrap();
        symlink("..data/tls.key", folder.0.join("tls.key")).unwrap();
        let mut sources = Sources::default();
        sources.read(&folder.file("tls.key"), 9).unwrap();
        assert_eq!(sources.as_they_are(), sources);
        symlink("second", folder.0.join("..data_tmp")).unwrap();
        fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
        assert_ne!(sources.as_they_are(), sources);
    }

    #[test]
    fn of_a_file_of_both_the_others_say_how_it_was() {
        let folder = Folder::new("both");
        let file = folder.file("ca.pem");
        let (mut before, mut after) = (Sources::default(), Sources::default());
        let _ = before.read(&file, 9);
        fs::write(&file, "one").unwrap();
        after.read(&file, 9).unwrap();
        assert_eq!(before.and(after.clone()), after);
    }
}
