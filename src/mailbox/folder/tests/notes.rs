//! What is noted about folders (`imapmetadata.tab`).

use super::*;

fn noted(folders: &Folders, folder: Option<&FolderName>) -> Vec<(String, String)> {
    let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
    folders.metadata(folder).unwrap().into_iter().map(|(entry, value)| (entry, text(value))).collect()
}

fn entry(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.into()))
}

#[test]
fn notes_go_where_their_folder_goes_and_end_with_it() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    let (work, below, other) = (name("Work"), name("Work/2026"), name("work"));
    for folder in [&work, &below, &other] {
        folders.create(folder, None).unwrap();
        folders.set_metadata(Some(folder), &[entry("/private/comment", folder.as_str())]).unwrap();
    }
    folders.set_metadata(None, &[entry("/private/comment", "all")]).unwrap();
    folders.rename(&work, &name("Done")).unwrap();
    let comment = |text: &str| vec![("/private/comment".to_owned(), text.to_owned())];
    assert_eq!(noted(&folders, Some(&name("Done"))), comment("Work"));
    assert_eq!(noted(&folders, Some(&name("Done/2026"))), comment("Work/2026"));
    assert_eq!(noted(&folders, Some(&work)), []);
    folders.delete(&name("Done")).unwrap();
    folders.create(&name("Done"), None).unwrap();
    assert_eq!(noted(&folders, Some(&name("Done"))), []);
    assert_eq!(noted(&folders, Some(&name("Done/2026"))), comment("Work/2026"));
    assert_eq!(noted(&folders, Some(&other)), comment("work"));
    assert_eq!(noted(&house.folders(), None), comment("all"));
}

#[test]
fn a_folder_made_after_one_that_others_removed_has_no_notes() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    folders.create(&name("Work"), None).unwrap();
    folders.set_metadata(Some(&name("Work")), &[entry("/private/comment", "old")]).unwrap();
    fs::remove_dir_all(house.path("Maildir/.Work")).unwrap();
    folders.create(&name("Work"), None).unwrap();
    assert_eq!(noted(&folders, Some(&name("Work"))), []);
}

#[test]
fn there_is_an_end_to_notes() {
    let house = House::new(Kind::Maildir);
    let folders = house.folders();
    let many: Vec<_> = (0..=1_000).map(|nth| entry(&format!("/private/{nth}"), "x")).collect();
    assert!(matches!(folders.set_metadata(None, &many), Err(FolderError::Metadata)));
    assert_eq!(noted(&folders, None), [], "all or nothing");
    folders.set_metadata(None, &many[1..]).unwrap();
    let more = [entry("/private/0", "x")];
    assert!(matches!(folders.set_metadata(None, &more), Err(FolderError::Metadata)));
    folders.set_metadata(None, &[entry("/private/7", "y"), (many[1].0.clone(), None)]).unwrap();
    folders.set_metadata(None, &more).unwrap();
    let long = "x".repeat(METADATA_VALUE_OCTETS_MAX);
    let large: Vec<_> = (1..=200).map(|nth| entry(&format!("/private/{nth}"), &long)).collect();
    assert!(matches!(folders.set_metadata(None, &large), Err(FolderError::Metadata)));
    assert_eq!(noted(&folders, None).len(), 1_000);
    // Binary values are longer in the table; the largest still has its line.
    let octets = (format!("/private/{}", "x".repeat(200)), Some(vec![0; METADATA_VALUE_OCTETS_MAX]));
    folders.set_metadata(None, &[(many[2].0.clone(), None), octets.clone()]).unwrap();
    assert_eq!(house.folders().metadata(None).unwrap()[&octets.0], octets.1.unwrap());
}
