import { cpSync, mkdirSync } from 'node:fs';
import { defineConfig } from 'vite';

// Grafana's libraries look for icons and fonts below /public.
const assets = {
  name: 'grafana-public-files',
  closeBundle() {
    cpSync('node_modules/@grafana/ui/dist/public/img/icons', 'dist/public/build/img/icons', { recursive: true });
    mkdirSync('dist/public/fonts/inter', { recursive: true });
    mkdirSync('dist/public/fonts/roboto', { recursive: true });
    for (const [weight, name] of [[400, 'Regular'], [500, 'Medium']]) {
      cpSync(`node_modules/@fontsource/inter/files/inter-latin-${weight}-normal.woff2`, `dist/public/fonts/inter/Inter-${name}.woff2`);
    }
    cpSync('node_modules/@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2', 'dist/public/fonts/roboto/L0xTDF4xlVMF-BfR8bXMIhJHg45mwgGEFl0_3vrtSM1J-gEPT5Ese6hmHSh0mQ.woff2');
  },
};

export default defineConfig({
  plugins: [assets],
  resolve: { dedupe: ['@grafana/data', '@grafana/schema', '@grafana/i18n', 'react', 'react-dom', 'rxjs', 'uplot'] },
  build: { chunkSizeWarningLimit: 10000, reportCompressedSize: false },
  logLevel: 'error',
});
