//! The folder of recordings, which does not outgrow its bound.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::SystemTime;

use doorkeeper_recording::line::Cut;

use super::{Counts, Settings};

/// How the name of a recording ends.
const EXTENSION: &str = "recording";

/// What the lines take that say that a recording was cut, and how its session ended: there is
/// always room for them.
const LAST_BYTES: u64 = 256;

/// The folder and what is in it.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// The beginning of all names of this process, so that no name is taken already.
    since: String,
    file_bytes_max: u64,
    bytes_max: u64,
    /// What there is, and what open recordings may still need for their last lines.
    bytes: u64,
    /// Recordings that are finished, the oldest first.
    finished: VecDeque<(PathBuf, u64)>,
    failures: u64,
    counts: Counts,
}

/// A recording that is being written. It is opened for each write only, so that a session costs
/// no descriptor.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    bytes: u64,
    /// What has been written ends inside a line.
    is_torn: bool,
}

impl Folder {
    /// Makes it if need be. Recordings that are there count as finished.
    pub(super) fn open(settings: &Settings, counts: Counts) -> io::Result<Self> {
        let dir = settings.dir.clone();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let path = entry.path();
            let metadata = entry.metadata()?;
            if metadata.is_file() && path.extension().is_some_and(|it| it == EXTENSION) {
                found.push((metadata.modified()?, path, metadata.len()));
            }
        }
        found.sort();
        let finished: VecDeque<_> = found
            .into_iter()
            .map(|(_, path, len)| (path, len))
            .collect();
        let since = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        Ok(Self {
            dir,
            since: since.replace(':', ""),
            file_bytes_max: settings.file_bytes_max,
            bytes_max: settings.bytes_max,
            bytes: finished.iter().map(|(_, len)| len).sum(),
            finished,
            failures: 0,
            counts,
        })
    }

    /// A file for a session.
    pub(super) fn begin(&mut self, session: u64) -> Result<File, Cut> {
        self.make_room(LAST_BYTES)?;
        let path = self
            .dir
            .join(format!("{}-{session:06}.{EXTENSION}", self.since));
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        if let Err(error) = made {
            return Err(self.failed(&error));
        }
        self.bytes += LAST_BYTES;
        Ok(File {
            path,
            bytes: 0,
            is_torn: false,
        })
    }

    /// Whether a file may not become so much longer.
    pub(super) const fn is_too_long(&self, file: &File, by: usize) -> bool {
        file.bytes + by as u64 + LAST_BYTES > self.file_bytes_max
    }

    /// Writes whole lines to the end of a file, as many as it takes.
    pub(super) fn append(&mut self, file: &mut File, lines: &[u8]) -> Result<(), Cut> {
        if lines.is_empty() {
            return Ok(());
        }
        let len = lines.len() as u64;
        self.make_room(len)?;
        self.count(file, lines).map_err(|error| self.failed(&error))
    }

    /// Writes one of the last lines, for which room was kept. What cannot be written is known.
    pub(super) fn append_last(&mut self, file: &mut File, line: &[u8]) {
        drop(self.count(file, line));
    }

    fn count(&mut self, file: &mut File, lines: &[u8]) -> io::Result<()> {
        let had = file.bytes;
        let appended = file.append(lines);
        self.bytes += file.bytes - had;
        appended
    }

    /// Nothing more is written to it.
    pub(super) fn finish(&mut self, file: File) {
        self.bytes = self.bytes.saturating_sub(LAST_BYTES);
        self.finished.push_back((file.path, file.bytes));
    }

    /// Removes recordings that are finished, the oldest first, until there is room.
    fn make_room(&mut self, bytes: u64) -> Result<(), Cut> {
        while self.bytes + bytes > self.bytes_max {
            let Some((path, len)) = self.finished.front() else {
                return Err(Cut::Folder);
            };
            match fs::remove_file(path) {
                Ok(()) => self.counts.removed(),
                // Somebody else has made room.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.failed(&error);
                    return Err(Cut::Folder);
                }
            }
            self.bytes = self.bytes.saturating_sub(*len);
            self.finished.pop_front();
        }
        Ok(())
    }

    /// Tells of a failure, again at each power of two of them.
    fn failed(&mut self, error: &io::Error) -> Cut {
        self.failures += 1;
        let times = self.failures;
        if times.is_power_of_two() {
            let dir = self.dir.display();
            tracing::warn!(%dir, %error, times, "sessions cannot be recorded");
        }
        Cut::Failed
    }
}

impl File {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        let written = file.write_all(lines);
        let whole = match &written {
            Ok(()) => lines.len(),
            // A disk that was filled has taken some lines, and perhaps a part of one.
            Err(_) => {
                let len = file.metadata().map_or(self.bytes, |it| it.len());
                let took = usize::try_from(len - self.bytes.min(len)).unwrap_or(0);
                let took = lines.get(..took).unwrap_or_default();
                let end = took.iter().rposition(|byte| *byte == b'\n');
                end.map_or(0, |at| at + 1)
            }
        };
        self.bytes += whole as u64;
        if written.is_err() {
            self.is_torn = file.set_len(self.bytes).is_err();
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("doorkeeper-folder-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn open(&self, bytes_max: u64) -> Folder {
            let settings = Settings {
                dir: self.0.clone(),
                file_bytes_max: 10_000,
                bytes_max,
            };
            Folder::open(&settings, Counts::default()).unwrap()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn bytes_in(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).unwrap();
        entries
            .map(|it| it.unwrap().metadata().unwrap().len())
            .sum()
    }

    #[test]
    fn the_oldest_that_is_finished_goes_first() {
        let place = Place::new("oldest");
        let mut folder = place.open(4000);
        let mut first = folder.begin(1).unwrap();
        let mut second = folder.begin(2).unwrap();
        let mut third = folder.begin(3).unwrap();
        for file in [&mut first, &mut second, &mut third] {
            folder.append(file, &[b'x'; 1000]).unwrap();
        }
        let path = second.path.clone();
        folder.finish(second);
        folder.append(&mut first, &[b'x'; 1000]).unwrap();
        assert!(!path.exists(), "the one that is finished made room");
        // What is left is open.
        assert_eq!(folder.append(&mut third, &[b'x'; 1000]), Err(Cut::Folder));
        folder.append_last(&mut third, b"last");
        assert!(bytes_in(&place.0) <= 4000);
        assert_eq!(folder.counts.of(super::super::REMOVED).get(), 1);
    }

    #[test]
    fn what_an_earlier_process_has_left_counts_and_other_files_are_left_alone() {
        let place = Place::new("earlier");
        let mut folder = place.open(4000);
        let mut file = folder.begin(1).unwrap();
        folder.append(&mut file, &[b'x'; 3000]).unwrap();
        folder.finish(file);
        fs::write(place.0.join("notes.txt"), [b'x'; 3000]).unwrap();
        let mut folder = place.open(4000);
        assert_eq!(folder.bytes, 3000);
        let mut file = folder.begin(1).unwrap();
        folder.append(&mut file, &[b'x'; 3000]).unwrap();
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 2);
        assert!(place.0.join("notes.txt").exists());
    }

    #[test]
    fn a_folder_that_is_gone_is_a_failure_until_it_is_back() {
        let place = Place::new("gone");
        let mut folder = place.open(4000);
        let mut file = folder.begin(1).unwrap();
        fs::remove_dir_all(&place.0).unwrap();
        assert_eq!(folder.append(&mut file, b"line\n"), Err(Cut::Failed));
        assert_eq!(folder.begin(2).unwrap_err(), Cut::Failed);
        folder.finish(file);
        fs::create_dir(&place.0).unwrap();
        let mut file = folder.begin(3).unwrap();
        folder.append(&mut file, b"line\n").unwrap();
        assert_eq!(bytes_in(&place.0), 5);
    }
}
