// Runs before start, dev, test, check and build: makes sure that the project's dependencies, among them the Node
// that it pins, are installed. Plain old JavaScript without dependencies and without recent syntax, because it has
// to run before anything is installed and has to tell an outdated Node what is wrong instead of failing to parse.

var major = Number(process.versions.node.split(".")[0]);

if (major < 18) {
  console.error(
    "State Hub needs Node 18 or newer to install itself; this is Node " +
      process.versions.node +
      " (" +
      process.execPath +
      "). Install a newer one from https://nodejs.org and run the command again.",
  );
  process.exit(1);
}

import("./install.mjs")
  .then((install) => install.ensureInstalled())
  .catch((error) => {
    console.error(error.isForOperator ? error.message : error);
    process.exit(error.exitCode || 1);
  });
