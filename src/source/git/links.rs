//! Where a symlink of a tree leads, inside the tree of the same commit.

use gix::ObjectId;

use super::folder::{Child, ChildKind, Folder};
use super::reader::{Place, Reader};
use crate::model::CommitId;
use crate::source::SourceError;

/// So many links may stand in the way of one, as in Linux; more are taken for a circle.
const MOST_HOPS: u32 = 40;

/// Longer targets cannot be links on any system that Git runs on.
const LONGEST_TARGET_BYTES: usize = 4096;

/// What keeps a link from being followed, in words.
pub(super) type Problem = &'static str;

/// The tree in which links are followed.
pub(super) struct Links<'a> {
    pub(super) reader: &'a Reader,
    pub(super) commit: &'a CommitId,
    pub(super) root: ObjectId,
}

/// A folder on the way to where a link leads: its name and its tree.
type Step = (Vec<u8>, ObjectId);

impl Links<'_> {
    /// Follows the link `link`, which really lies in the folder `real_folder`, to a file or folder that is
    /// shown under the link's name.
    pub(super) fn follow(&self, real_folder: &[u8], link: &Child) -> Result<Result<Child, Problem>, SourceError> {
        let mut way: Vec<Step> = Vec::new();
        // What is still to be walked, the next last.
        let mut rest: Vec<Vec<u8>> = Vec::new();
        push_segments(&mut rest, real_folder);
        // The way to the link's own folder is one of real folders, so this cannot fail on a link.
        while let Some(name) = rest.pop() {
            match self.child(&way, &name)? {
                Some(child) if child.is_folder() => way.push((name, child.id)),
                _ => return Ok(Err("leads to nothing in the tree")),
            }
        }
        let mut hops = 0;
        let mut link = link.id;
        loop {
            hops += 1;
            if hops > MOST_HOPS {
                return Ok(Err("leads in a circle"));
            }
            let target = self.target(link, &way)?;
            match target.first() {
                None => return Ok(Err("leads to nothing in the tree")),
                Some(b'/') => return Ok(Err("leads out of the tree")),
                Some(_) => push_segments(&mut rest, &target),
            }
            match self.walk(&mut way, &mut rest)? {
                Ok(Stopped::At(kind, id)) => return Ok(Ok(self.shown(&way, kind, id))),
                Ok(Stopped::AtLink(next)) => link = next,
                Err(problem) => return Ok(Err(problem)),
            }
        }
    }

    fn shown(&self, way: &[Step], kind: ChildKind, id: ObjectId) -> Child {
        let names: Vec<&[u8]> = way.iter().map(|(name, _)| name.as_slice()).collect();
        Child {
            name: Vec::new(),
            kind,
            id,
            real: (kind == ChildKind::Folder).then(|| names.join(&b'/')),
        }
    }

    /// Walks on until the way ends or meets another link.
    fn walk(&self, way: &mut Vec<Step>, rest: &mut Vec<Vec<u8>>) -> Result<Result<Stopped, Problem>, SourceError> {
        while let Some(name) = rest.pop() {
            match name.as_slice() {
                b"" | b"." => {}
                b".." => {
                    if way.pop().is_none() {
                        return Ok(Err("leads out of the tree"));
                    }
                }
                _ => match self.child(way, &name)? {
                    None => return Ok(Err("leads to nothing in the tree")),
                    Some(child) => match child.kind {
                        ChildKind::Folder => way.push((name, child.id)),
                        ChildKind::Symlink => return Ok(Ok(Stopped::AtLink(child.id))),
                        ChildKind::Submodule => return Ok(Err("leads to a submodule")),
                        ChildKind::File { .. } if rest.is_empty() => return Ok(Ok(Stopped::At(child.kind, child.id))),
                        ChildKind::File { .. } => return Ok(Err("leads to nothing in the tree")),
                    },
                },
            }
        }
        Ok(Ok(Stopped::At(ChildKind::Folder, self.current(way))))
    }

    fn current(&self, way: &[Step]) -> ObjectId {
        way.last().map_or(self.root, |(_, id)| *id)
    }

    fn child(&self, way: &[Step], name: &[u8]) -> Result<Option<Child>, SourceError> {
        let path = path_of(way);
        let place = Place {
            commit: self.commit,
            path: &path,
        };
        Folder::read(self.reader, self.current(way), place)?.find(name, place)
    }

    /// What a link says; empty where no link could say it.
    fn target(&self, link: ObjectId, way: &[Step]) -> Result<Vec<u8>, SourceError> {
        let path = path_of(way);
        let place = Place {
            commit: self.commit,
            path: &path,
        };
        if self.reader.blob_size(link, place)? > LONGEST_TARGET_BYTES as u64 {
            return Ok(Vec::new());
        }
        self.reader.blob_bytes(link, place)
    }
}

enum Stopped {
    At(ChildKind, ObjectId),
    AtLink(ObjectId),
}

fn path_of(way: &[Step]) -> Vec<u8> {
    let names: Vec<&[u8]> = way.iter().map(|(name, _)| name.as_slice()).collect();
    names.join(&b'/')
}

/// Puts the segments of a path before what is still to be walked.
fn push_segments(rest: &mut Vec<Vec<u8>>, path: &[u8]) {
    let segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
    rest.extend(segments.rev().map(<[u8]>::to_vec));
}
