// What Node-RED in a container is started with; its editor is at /.
module.exports = {
    flowFile: "flows.json",
    credentialSecret: "not a secret",
    editorTheme: { tours: false },
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: "warn" } },
};
