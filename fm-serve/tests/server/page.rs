//! The page.

use crate::scene::Scene;

#[test]
fn the_page_asks_nobody_but_the_server() {
    let answer = Scene::shared().get("/");
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    let policy = &answer.headers["content-security-policy"];
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    let page = answer.text();
    for outside in ["http://", "https://", "//cdn", "@import", "url(", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Values are put into the page as text only.
    for unsafe_way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!page.contains(unsafe_way), "{unsafe_way}");
    }
}

#[test]
fn every_element_that_the_script_names_is_on_the_page() {
    let page = Scene::shared().get("/").text();
    let named: Vec<&str> = page.split("at(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.len() > 20);
    for id in named {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
}
