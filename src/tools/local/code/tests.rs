use super::*;
use crate::testing::scratch::Scratch;
use crate::tools::template::parse;

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The code of the function `F` with these properties, and the metadata.
fn of(folder: &Path, properties: &str, metadata: &str) -> Result<Code, String> {
    let text = format!(
        "Resources: {{F: {{Type: AWS::Serverless::Function, Metadata: {{{metadata}}}, Properties: {{{properties}}}}}}}"
    );
    let found = functions(&parse(&text).unwrap(), folder);
    let found = found.map_err(|error| format!("{error:#}"))?;
    Ok(found.into_iter().next().expect("a function").1)
}

#[test]
fn a_function_is_packed_by_its_runtime() {
    let scratch = Scratch::new();
    let folder = scratch.path();
    for file in [
        "py/app.py",
        "py/pkg/__init__.py",
        "py/src/app.py",
        "js/src/index.mjs",
        "go/bootstrap",
        "code.zip",
    ] {
        write(folder, file, "");
    }
    let python = Code::Python(folder.join("py"));
    for handler in [
        "app.handler",
        "pkg.handler",
        "src/app.handler",
        "src.app.handler",
    ] {
        let properties = format!("CodeUri: py, Runtime: python3.13, Handler: {handler}");
        assert_eq!(of(folder, &properties, ""), Ok(python.clone()), "{handler}");
    }
    if is_on(&std::env::var_os("PATH").unwrap(), "node") {
        let node = of(
            folder,
            "CodeUri: js, Runtime: nodejs22.x, Handler: src/index.handler",
            "",
        );
        assert_eq!(node, Ok(Code::Node(folder.join("js"))));
    } else {
        println!("no `node` on the PATH: its runtime was not tested");
    }
    let built = of(
        folder,
        "CodeUri: go, Runtime: provided.al2023, Handler: bootstrap",
        "BuildMethod: go1.x",
    );
    assert_eq!(built, Ok(Code::Folder(folder.join("go"))));
    let zip = of(
        folder,
        "CodeUri: code.zip, Runtime: python3.13, Handler: app.handler",
        "",
    );
    assert_eq!(zip, Ok(Code::Archive(folder.join("code.zip"))));
}

#[test]
fn a_binary_is_the_bridges_or_of_its_own_package() {
    let scratch = Scratch::new();
    let folder = scratch.path();
    let binary =
        |name: &str| format!("BuildMethod: rust-cargolambda, BuildProperties: {{Binary: {name}}}");
    let properties = "CodeUri: ., Runtime: provided.al2023, Handler: bootstrap";
    let webhook = Ok(Code::Bridge("webhook".to_owned()));
    assert_eq!(of(folder, properties, &binary("webhook")), webhook);
    let error = of(folder, properties, &binary("mine")).unwrap_err();
    assert!(
        error.contains("function `F`: expected `Cargo.toml`"),
        "{error}"
    );

    write(
        folder,
        "Cargo.toml",
        "[package]\nname = \"workflow-bridge\"\n",
    );
    assert_eq!(
        of(folder, properties, &binary("another")),
        Ok(Code::Bridge("another".to_owned()))
    );

    write(folder, "Cargo.toml", "[package]\nname = \"mine\"\n");
    for (metadata, name) in [
        (binary("webhook"), Some("webhook".to_owned())),
        ("BuildMethod: rust-cargolambda".to_owned(), None),
    ] {
        let own = Code::Rust {
            folder: folder.join("."),
            binary: name,
        };
        assert_eq!(of(folder, properties, &metadata), Ok(own));
    }
}

#[test]
fn a_function_that_cannot_run_is_refused_with_a_remedy() {
    let scratch = Scratch::new();
    let folder = scratch.path();
    write(folder, "ts/app.ts", "");
    write(folder, "py/app.py", "");
    for (properties, metadata, parts) in [
        (
            "CodeUri: none, Runtime: python3.13, Handler: a.b",
            "",
            ["function `F`", "found no `"],
        ),
        (
            "CodeUri: py, Runtime: python3.13, Handler: other.handler",
            "",
            ["`other.py` or `other/__init__.py`", "correct `Handler`"],
        ),
        (
            "CodeUri: py, Runtime: python3.13, Handler: handler",
            "",
            ["such as `app.handler`", "`handler`"],
        ),
        (
            "CodeUri: py, Runtime: java21, Handler: a.b",
            "",
            ["of Python, Node.js or `provided`", "`java21`"],
        ),
        (
            "CodeUri: py, Runtime: provided.al2023, Handler: a.b",
            "",
            ["a program `bootstrap`", "sam build"],
        ),
    ] {
        let error = of(folder, properties, metadata).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    if is_on(&std::env::var_os("PATH").unwrap(), "node") {
        let error = of(
            folder,
            "CodeUri: ts, Runtime: nodejs22.x, Handler: app.handler",
            "BuildMethod: esbuild",
        );
        let error = error.unwrap_err();
        assert!(
            error.contains("`app.js` or `app.mjs`") && error.contains("sam build"),
            "{error}"
        );
    }
    assert!(
        !is_on(folder.as_os_str(), "node"),
        "an empty PATH has no `node`"
    );
}

#[test]
fn packages_are_installed_for_dependencies_alone() {
    let scratch = Scratch::new();
    let folder = scratch.path();
    assert!(!needs_npm(folder).unwrap());
    write(
        folder,
        "package.json",
        r#"{"type": "module", "devDependencies": {"a": "1"}}"#,
    );
    assert!(!needs_npm(folder).unwrap());
    write(folder, "package.json", r#"{"dependencies": {"a": "1"}}"#);
    assert!(needs_npm(folder).unwrap());
    fs::create_dir(folder.join("node_modules")).unwrap();
    assert!(!needs_npm(folder).unwrap(), "they are there");
    fs::remove_dir(folder.join("node_modules")).unwrap();
    write(folder, "package.json", "{");
    assert!(
        needs_npm(folder)
            .unwrap_err()
            .to_string()
            .contains("package.json")
    );
}

/// A package in a folder is installed without a network.
#[tokio::test]
async fn requirements_are_installed_once_beside_the_code() {
    let scratch = Scratch::new();
    let (code, kept) = (scratch.path().join("code"), scratch.path().join("kept"));
    write(&code, "app.py", "import greeting");
    write(&code, "requirements.txt", "# none so far\n\n");
    let python = crate::tools::local::python::interpreter().await.unwrap();
    let workshop = Workshop {
        python,
        folder: kept.clone(),
    };
    let app = Code::Python(code.clone());
    let before = workshop.package(&app).await.unwrap();
    assert!(!kept.exists());

    // A wheel is an archive with this metadata.
    let wheel = [
        ("greeting.py", "text = 'hello'"),
        (
            "greeting-1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n",
        ),
        (
            "greeting-1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        ("greeting-1.dist-info/RECORD", ""),
    ];
    let files = scratch.path().join("wheel");
    wheel
        .iter()
        .for_each(|(name, text)| write(&files, name, text));
    let zip = pack_folders(&[(&files, "")]).unwrap().zip;
    fs::write(scratch.path().join("greeting-1-py3-none-any.whl"), zip).unwrap();
    write(
        &code,
        "requirements.txt",
        "../greeting-1-py3-none-any.whl\n",
    );
    let after = workshop.package(&app).await.unwrap();
    assert_ne!(before.key, after.key);
    let archive = zip::ZipArchive::new(std::io::Cursor::new(&after.zip)).unwrap();
    for name in ["greeting.py", "app.py"] {
        assert!(archive.index_for_name(name).is_some(), "{name}");
    }
    assert_eq!(
        fs::read_dir(&code).unwrap().count(),
        2,
        "nothing appears beside the code"
    );
    // Installed: the wheel is not read again.
    fs::remove_file(scratch.path().join("greeting-1-py3-none-any.whl")).unwrap();
    assert_eq!(workshop.package(&app).await.unwrap().key, after.key);

    write(&code, "requirements.txt", "../missing-1-py3-none-any.whl\n");
    let error = workshop.package(&app).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("requirements.txt") && error.contains("missing-1"),
        "{error}"
    );
}
