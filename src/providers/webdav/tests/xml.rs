//! Documents as servers write them, made after the facts of the sheet (4.3 and 7.1).

use super::*;

fn all(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    read(text.as_bytes(), |entry| entries.push(entry)).unwrap();
    entries
}

#[test]
fn nextcloud() {
    let entries = all(r#"<?xml version="1.0"?>
<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns">
 <d:response><d:href>/remote.php/dav/files/me/Photos/</d:href>
  <d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>
    <d:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</d:getlastmodified>
    <d:getetag>&quot;6553f0a0a1b2c&quot;</d:getetag>
    <oc:fileid>12</oc:fileid><oc:permissions>RGDNVCK</oc:permissions><oc:size>1234567</oc:size></d:prop>
   <d:status>HTTP/1.1 200 OK</d:status></d:propstat>
  <d:propstat><d:prop><d:getcontentlength/><oc:checksums/></d:prop>
   <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
 </d:response>
 <d:response><d:href>/remote.php/dav/files/me/Photos/a%20%26%20b.jpg</d:href>
  <d:propstat><d:prop><d:resourcetype/><d:getcontentlength>11</d:getcontentlength>
    <d:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</d:getlastmodified>
    <d:getetag>&quot;abc&quot;</d:getetag><oc:fileid>00000013ocabc</oc:fileid>
    <oc:checksums><oc:checksum>SHA1:2AAE6C35C94FCFB415DBE95F408B9CE91EE846ED MD5:5eb63bbbe01eeed093cb22bb8f5acdc3</oc:checksum><oc:checksum>ADLER32:1a0b045d</oc:checksum></oc:checksums>
    <nc:has-preview>true</nc:has-preview></d:prop>
   <d:status>HTTP/1.1 200 OK</d:status></d:propstat>
 </d:response>
</d:multistatus>"#);
    assert_eq!(entries.len(), 2);
    let (folder, file) = (&entries[0], &entries[1]);
    assert_eq!(folder.props.collection, Some(true));
    assert_eq!(
        (folder.props.length, &folder.props.checksums),
        (None, &None)
    );
    assert_eq!(folder.props.size, Some(1_234_567));
    assert_eq!(folder.props.permissions.as_deref(), Some("RGDNVCK"));
    assert_eq!(file.href, "/remote.php/dav/files/me/Photos/a%20%26%20b.jpg");
    assert_eq!(file.props.collection, Some(false));
    assert_eq!(file.props.length, Some(11));
    assert_eq!(file.props.etag.as_deref(), Some("\"abc\""));
    assert_eq!(file.props.file_id.as_deref(), Some("00000013ocabc"));
    let checksums: Vec<&str> = file
        .props
        .checksums
        .as_deref()
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(checksums.len(), 3);
    assert_eq!(checksums[2], "ADLER32:1a0b045d");
}

#[test]
fn apache_mod_dav() {
    let entries = all(r#"<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:" xmlns:ns1="http://owncloud.org/ns">
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/">
<D:href>/dav/f.txt</D:href>
<D:propstat>
<D:prop>
<lp1:resourcetype/>
<lp1:creationdate>2023-11-14T22:13:20Z</lp1:creationdate>
<lp1:getcontentlength>5</lp1:getcontentlength>
<lp1:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</lp1:getlastmodified>
<lp1:getetag>W/"5-60a2"</lp1:getetag>
</D:prop>
<D:status>HTTP/1.1 200 OK</D:status>
</D:propstat>
<D:propstat>
<D:prop><ns1:checksums/><ns1:fileid/><ns1:size/></D:prop>
<D:status>HTTP/1.1 404 Not Found</D:status>
</D:propstat>
</D:response>
</D:multistatus>"#);
    let props = &entries[0].props;
    assert_eq!(props.etag.as_deref(), Some("W/\"5-60a2\""));
    assert_eq!((props.length, props.file_id.as_deref()), (Some(5), None));
    assert_eq!(props.created.as_deref(), Some("2023-11-14T22:13:20Z"));
}

#[test]
fn rclone() {
    let entries = all(
        r#"<?xml version="1.0" encoding="UTF-8"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/dir/f.bin</D:href><D:propstat><D:prop><D:resourcetype></D:resourcetype><D:getcontentlength>11</D:getcontentlength><D:getetag>"5eb63bbbe01eeed093cb22bb8f5acdc3"</D:getetag><checksums xmlns="http://owncloud.org/ns"><checksum xmlns="http://owncloud.org/ns">MD5:5eb63bbbe01eeed093cb22bb8f5acdc3</checksum></checksums></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop><D:quota-available-bytes></D:quota-available-bytes></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response></D:multistatus>"#,
    );
    let props = &entries[0].props;
    assert_eq!(
        props.checksums.as_deref(),
        Some("MD5:5eb63bbbe01eeed093cb22bb8f5acdc3")
    );
    assert_eq!((props.collection, props.available), (Some(false), None));
}

#[test]
fn jianguoyun() {
    let entries = all(r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<d:multistatus xmlns:d="DAV:" xmlns:s="http://ns.jianguoyun.com"><d:response><d:href>/dav/%e6%88%91%e7%9a%84%e5%9d%9a%e6%9e%9c%e4%ba%91/</d:href><d:propstat><d:prop><d:getcontenttype>httpd/unix-directory</d:getcontenttype><d:displayname>x</d:displayname><d:owner>me@example.com</d:owner><d:resourcetype><d:collection/></d:resourcetype><d:getcontentlength>0</d:getcontentlength><d:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT</d:getlastmodified><d:current-user-privilege-set><d:privilege><d:read/></d:privilege></d:current-user-privilege-set></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"#);
    assert_eq!(entries[0].props.collection, Some(true));
    assert_eq!(entries[0].props.length, Some(0));
}

#[test]
fn wsgidav() {
    let entries = all(r#"<?xml version="1.0" encoding="utf-8"?>
<ns0:multistatus xmlns:ns0="DAV:"><ns0:response><ns0:href>/</ns0:href><ns0:propstat><ns0:prop><ns0:resourcetype><ns0:collection /></ns0:resourcetype><ns0:quota-available-bytes>4096</ns0:quota-available-bytes><ns0:quota-used-bytes>1024</ns0:quota-used-bytes></ns0:prop><ns0:status>HTTP/1.1 200 OK</ns0:status></ns0:propstat></ns0:response><ns0:response><ns0:href>/f%26.txt</ns0:href><ns0:propstat><ns0:prop><ns0:resourcetype /><ns0:getcontentlength>3</ns0:getcontentlength><ns0:getetag>1234-1700000000-3</ns0:getetag></ns0:prop><ns0:status>HTTP/1.1 200 OK</ns0:status></ns0:propstat></ns0:response></ns0:multistatus>"#);
    assert_eq!(
        (entries[0].props.available, entries[0].props.used),
        (Some(4096), Some(1024))
    );
    assert_eq!(entries[1].props.etag.as_deref(), Some("1234-1700000000-3"));
}

#[test]
fn names_without_a_namespace_and_texts_in_sections() {
    let entries = all(
        "<multistatus><response><href><![CDATA[/a&b]]></href><propstat><status>HTTP/1.1 200 \
         OK</status><prop><getcontentlength> 7 </getcontentlength><D:getetag>&#34;x&#x22;\
         </D:getetag></prop></propstat></response></multistatus>",
    );
    assert_eq!(entries[0].href, "/a&b");
    assert_eq!(entries[0].props.length, Some(7));
    assert_eq!(entries[0].props.etag.as_deref(), Some("\"x\""));
    assert_eq!(entries[0].props.collection, None);
}

#[test]
fn a_property_of_somebody_else_is_not_ours() {
    let entries = all(
        r#"<multistatus xmlns="DAV:"><response><href>/a</href><propstat><prop><getetag xmlns="urn:x">no</getetag><x><getetag>no</getetag></x><resourcetype><getetag>no</getetag></resourcetype></prop></propstat></response></multistatus>"#,
    );
    assert_eq!(entries[0].props.etag, None);
    assert!(entries[0].found);
}

#[test]
fn partial_failures_have_a_status() {
    let entries = all(
        r#"<D:multistatus xmlns:D="DAV:"><D:response><D:href>/d/locked</D:href><D:status>HTTP/1.1 423 Locked</D:status></D:response></D:multistatus>"#,
    );
    assert_eq!((entries[0].status, entries[0].found), (Some(423), false));
}

#[test]
fn what_is_no_answer_is_refused() {
    let deep = format!("<multistatus xmlns=\"DAV:\">{}", "<a>".repeat(50));
    for broken in [
        "",
        "null",
        "{}",
        "<html><body>log in</body></html>",
        "<multistatus xmlns=\"urn:x\"/>",
        "<multistatus xmlns=\"DAV:\"><response>",
        "<multistatus xmlns=\"DAV:\"><response></multistatus>",
        "<multistatus xmlns=\"DAV:\"><response><href>&nbsp;</href></response></multistatus>",
        &deep,
    ] {
        assert!(read(broken.as_bytes(), |_| {}).is_err(), "{broken}");
    }
    assert!(all("<multistatus xmlns=\"DAV:\"/>").is_empty());
}

#[test]
fn errors_say_what_they_are() {
    let (exception, message) = error(
        "<d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\"><s:exception>A</s:exception>\
         <s:message>B</s:message></d:error>",
    );
    assert_eq!(
        (exception.as_deref(), message.as_deref()),
        (Some("A"), Some("B"))
    );
    assert_eq!(error("<html><p>no"), (None, None));
}
