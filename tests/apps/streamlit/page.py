"""A page that answers over its WebSocket."""

import streamlit as st

st.title("Counter")
if "count" not in st.session_state:
    st.session_state.count = 0
if st.button("Add one"):
    st.session_state.count += 1
st.write(f"Count is {st.session_state.count}")
st.line_chart({"squares": [n * n for n in range(10)]})
st.download_button("Download", "forty-two\n", file_name="answer.txt")
upload = st.file_uploader("Upload")
if upload:
    st.write(f"Got {upload.size} bytes")
