// Health check of the MongoDB container, for mongosh: healthy when it accepts writes. The first check that finds no
// replica set makes one of this member alone.
(() => {
  try {
    rs.status();
  } catch (error) {
    if (error.codeName !== "NotYetInitialized") throw error;
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
  }
  quit(db.hello().isWritablePrimary ? 0 : 1);
})();
